#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
#include "device/storage/nvme_controller.h"
#include "testing/pci_slot.h"

namespace mynah::testing {

// What an operating system's NVMe driver does: queues in guest memory, doorbells, polled
// completions.
class NvmeDriver {
  public:
    static constexpr uint64_t kBar = PciSlotBoard::kMemoryBars;
    static constexpr uint32_t kDepth = 16;
    static constexpr uint64_t kQueues = 0x10000, kData = 0x100000;

    explicit NvmeDriver(PciSlotBoard& board) : board_(board), queues_(64) {}

    uint64_t get(uint32_t reg, unsigned size = 4) {
        return board_.memory_space.read(kBar + reg, size);
    }
    void set(uint32_t reg, uint64_t value, unsigned size = 4) {
        board_.memory_space.write(kBar + reg, size, value);
    }

    // [NVMe 7.6.1]
    void enable() {
        for (Queue& queue : queues_) queue = {};
        clear_queue(0);
        set(nvme::kAqa, (kDepth - 1) | (kDepth - 1) << 16);
        set(nvme::kAsq, sq_base(0), 8);
        set(nvme::kAcq, cq_base(0), 8);
        set(nvme::kCc, nvme::cc::kEnable | 6u << 16 | 4u << 20);
    }
    void disable() { set(nvme::kCc, 0); }
    bool ready() { return (get(nvme::kCsts) & nvme::csts::kReady) != 0; }

    static uint64_t sq_base(unsigned queue) { return kQueues + queue * 0x2000; }
    static uint64_t cq_base(unsigned queue) { return sq_base(queue) + 0x1000; }

    // Puts a command in a queue; ring() tells the controller.
    uint16_t add(unsigned queue, nvme::Submission command) {
        Queue& at = queues_[queue];
        command.cid = next_cid_++;
        CHECK(board_.memory->store(GuestPhys(sq_base(queue) + at.tail * 64), command));
        at.tail = (at.tail + 1) % kDepth;
        return command.cid;
    }
    void ring(unsigned queue) { set(nvme::kDoorbells + queue * 8, queues_[queue].tail); }

    // The next completion; tells the controller that it was taken.
    std::optional<nvme::Completion> take(unsigned queue) {
        Queue& at = queues_[queue];
        const GuestPhys place(cq_base(queue) + at.head * sizeof(nvme::Completion));
        const auto last = view_.load_acquire<uint32_t>(place + offsetof(nvme::Completion, cid));
        if ((*last >> 16 & 1) != at.phase) return std::nullopt;
        const auto entry = view_.load<nvme::Completion>(place);
        at.head = (at.head + 1) % kDepth;
        if (at.head == 0) at.phase ^= 1;
        set(nvme::kDoorbells + queue * 8 + 4, at.head);
        return entry;
    }
    // One command to its end: its status without the phase; ffffh if there was no completion.
    uint16_t run(unsigned queue, const nvme::Submission& command) {
        const uint16_t cid = add(queue, command);
        ring(queue);
        const auto entry = take(queue);
        if (!entry || entry->cid != cid) return 0xffff;
        result = entry->result;
        return static_cast<uint16_t>(entry->status >> 1);
    }

    uint16_t create_queues(unsigned queue, uint16_t vector = 0) {
        clear_queue(queue);
        queues_[queue] = {};
        nvme::Submission command{};
        command.opcode = nvme::admin::kCreateCq;
        command.prp1 = cq_base(queue);
        command.cdw10 = queue | (kDepth - 1) << 16;
        command.cdw11 = 3u | uint32_t{vector} << 16;
        if (const uint16_t status = run(0, command)) return status;
        command.opcode = nvme::admin::kCreateSq;
        command.prp1 = sq_base(queue);
        command.cdw11 = 1u | queue << 16;
        return run(0, command);
    }

    static nvme::Submission transfer(uint8_t opcode, uint64_t lba, uint32_t blocks, uint64_t prp1,
                                     uint64_t prp2 = 0) {
        nvme::Submission command{};
        command.opcode = opcode;
        command.nsid = 1;
        command.prp1 = prp1;
        command.prp2 = prp2;
        command.cdw10 = static_cast<uint32_t>(lba);
        command.cdw11 = static_cast<uint32_t>(lba >> 32);
        command.cdw12 = blocks - 1;
        return command;
    }
    std::vector<uint8_t> bytes(uint64_t address, size_t size) {
        std::vector<uint8_t> result_bytes(size);
        CHECK(board_.memory->read(GuestPhys(address),
                                  std::as_writable_bytes(std::span(result_bytes))));
        return result_bytes;
    }

    uint32_t result = 0;

  private:
    struct Queue {
        uint32_t tail = 0, head = 0;
        uint16_t phase = 1;
    };
    void clear_queue(unsigned queue) {
        CHECK(board_.memory->fill(GuestPhys(sq_base(queue)), std::byte{0}, 0x2000));
    }

    PciSlotBoard& board_;
    const DmaView view_{*board_.memory};
    std::vector<Queue> queues_;
    std::atomic<uint16_t> next_cid_{100};
};

}  // namespace mynah::testing
