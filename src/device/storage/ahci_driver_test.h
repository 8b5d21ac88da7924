#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "device/storage/ahci_controller.h"
#include "testing/pci_slot.h"

namespace mynah::testing {

// What an operating system's AHCI driver does with one port of a controller.
class AhciDriver {
  public:
    static constexpr uint64_t kAbar = PciSlotBoard::kMemoryBars + 5 * 0x10000;
    static constexpr uint64_t kList = 0x1000, kFis = 0x2000, kTables = 0x10000, kData = 0x100000;

    // The port's structures lie at the constants above plus `place`.
    AhciDriver(PciSlotBoard& board, unsigned port, uint64_t place = 0)
        : board_(board), port_(port), place_(place) {}

    struct Buffer {
        uint64_t address;
        uint32_t size;
    };
    struct Request {
        AtaTaskFile taskfile;
        std::vector<Buffer> buffers;
        bool write = false;
        std::vector<uint8_t> packet;
    };

    uint32_t global(uint32_t offset) { return read(offset); }
    void set_global(uint32_t offset, uint32_t value) { write(offset, value); }
    uint32_t get(uint32_t reg) { return read(ahci::kPorts + port_ * ahci::kPortSize + reg); }
    void set(uint32_t reg, uint32_t value) {
        write(ahci::kPorts + port_ * ahci::kPortSize + reg, value);
    }

    // As drivers do after they found a device [AHCI 10.1.2].
    void start() {
        set_global(ahci::kGhc, ahci::ghc::kAhciEnable | ahci::ghc::kInterruptEnable);
        set(ahci::kClb, static_cast<uint32_t>(place_ + kList));
        set(ahci::kClbu, 0);
        set(ahci::kFb, static_cast<uint32_t>(place_ + kFis));
        set(ahci::kFbu, 0);
        set(ahci::kPxCmd, ahci::cmd::kFisEnable);
        set(ahci::kSerr, 0xffffffff);
        set(ahci::kPxIs, 0xffffffff);
        set(ahci::kPxIe, 0xffffffff);
        set(ahci::kPxCmd, ahci::cmd::kFisEnable | ahci::cmd::kStart);
    }
    void stop() { set(ahci::kPxCmd, ahci::cmd::kFisEnable); }

    // Fills the slot's header and table; the doorbell is the caller's.
    void prepare(unsigned slot, const Request& request, uint8_t control = 0, bool command = true) {
        const uint64_t table = place_ + kTables + slot * 0x1000;
        ahci::CommandHeader header{};
        header.flags = static_cast<uint16_t>(5 | (request.write ? ahci::header::kWrite : 0) |
                                             (request.packet.empty() ? 0 : ahci::header::kAtapi));
        header.prdtl = static_cast<uint16_t>(request.buffers.size());
        header.prdbc = 0;
        header.table = table;
        CHECK(board_.memory->store(GuestPhys(place_ + kList + slot * sizeof header), header));
        const AtaTaskFile& in = request.taskfile;
        const auto byte = [](uint64_t value, unsigned at) {
            return static_cast<uint8_t>(value >> (8 * at));
        };
        const uint8_t fis[20] = {ahci::fis::kHostToDevice,
                                 static_cast<uint8_t>(command ? 0x80 : 0),
                                 in.command,
                                 byte(in.features, 0),
                                 byte(in.lba, 0),
                                 byte(in.lba, 1),
                                 byte(in.lba, 2),
                                 in.device,
                                 byte(in.lba, 3),
                                 byte(in.lba, 4),
                                 byte(in.lba, 5),
                                 byte(in.features, 1),
                                 byte(in.count, 0),
                                 byte(in.count, 1),
                                 0,
                                 control,
                                 0,
                                 0,
                                 0,
                                 0};
        CHECK(board_.memory->write(GuestPhys(table), std::as_bytes(std::span(fis))));
        CHECK(board_.memory->write(GuestPhys(table + 0x40),
                                   std::as_bytes(std::span(request.packet))));
        for (size_t i = 0; i < request.buffers.size(); ++i) {
            const ahci::Descriptor descriptor{request.buffers[i].address, 0,
                                              request.buffers[i].size - 1};
            CHECK(board_.memory->store(GuestPhys(table + 0x80 + i * 16), descriptor));
        }
    }
    void issue(unsigned slot) { set(ahci::kCi, 1u << slot); }
    void issue_queued(unsigned slot) {
        set(ahci::kSact, 1u << slot);
        set(ahci::kCi, 1u << slot);
    }
    // One command in slot 0.
    void run(const Request& request) {
        prepare(0, request);
        issue(0);
    }

    uint32_t moved(unsigned slot) {
        return board_.memory->load<uint32_t>(GuestPhys(place_ + kList + slot * 32 + 4)).value();
    }
    std::vector<uint8_t> bytes(uint64_t address, size_t size) {
        std::vector<uint8_t> result(size);
        CHECK(board_.memory->read(GuestPhys(address), std::as_writable_bytes(std::span(result))));
        return result;
    }
    std::vector<uint8_t> fis(uint32_t place, size_t size = 20) {
        return bytes(place_ + kFis + place, size);
    }

  private:
    uint32_t read(uint32_t offset) {
        return static_cast<uint32_t>(board_.memory_space.read(kAbar + offset, 4));
    }
    void write(uint32_t offset, uint32_t value) {
        board_.memory_space.write(kAbar + offset, 4, value);
    }

    PciSlotBoard& board_;
    const unsigned port_;
    const uint64_t place_;
};

}  // namespace mynah::testing
