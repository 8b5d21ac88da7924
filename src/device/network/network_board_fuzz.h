#pragma once

#include <span>
#include <vector>

#include "base/check.h"
#include "device/network/e1000.h"
#include "device/network/rtl8139.h"
#include "testing/byte_board.h"
#include "testing/packet_builder.h"
#include "testing/pci_slot.h"
#include "testing/scripted_network_backend.h"

namespace mynah::testing {

// A card on a board with little memory, whose driver puts its rings where the bytes say and fills
// them with anything; frames of all kinds arrive, the backend is full at times.
template <typename Card>
class NetworkCardBoard {
  public:
    static constexpr uint64_t kRam = 0x40000;
    static constexpr MacAddress kMac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};

    NetworkCardBoard() {
        card_.function().config_write(0x04, 2, 7);
        board_.add([this](ByteSource& source) { fill(source); });
        board_.add([this](ByteSource& source) { deliver(source); });
        board_.add([this](ByteSource& source) { backend_.set_room(source.take(1)); });
        board_.add([this](ByteSource&) { backend_.make_ready(); });
        board_.add([this](ByteSource& source) { backend_.set_link((source.take(1) & 1) != 0); });
    }
    Card& card() { return card_; }
    ByteBoard& board() { return board_; }
    PciSlotBoard& slot() { return slot_; }
    uint64_t place(unsigned bar, uint64_t address) {
        card_.function().config_write(0x10 + 4 * bar, 4, static_cast<uint32_t>(address));
        return address;
    }
    void run(std::span<const uint8_t> bytes) {
        board_.run(bytes);
        for (const CapturedFrame& frame : backend_.take_sent()) {
            CHECK(frame.bytes.size() >= ethernet::kHeaderSize);
            CHECK(frame.bytes.size() <= ethernet::kMaxSuperFrame);
        }
        card_.reset();
        CHECK(!slot_.intx.level());
    }

  private:
    // The same bytes over and over into a piece of memory.
    void fill(ByteSource& source) {
        const uint64_t at = source.take(2) * 4 % kRam;
        std::vector<std::byte> pattern(1 + source.take(1) % 48);
        for (std::byte& byte : pattern) byte = static_cast<std::byte>(source.take(1));
        const uint64_t copies = 1 + source.take(1);
        for (uint64_t i = 0; i < copies; ++i) {
            if (!slot_.memory->write(GuestPhys{at + i * pattern.size()}, pattern)) return;
        }
    }
    void deliver(ByteSource& source) {
        const uint64_t kind = source.take(1);
        TcpPacket packet{kMac, kMac, 1, 2, 3,
                         4,    5,    6, 7, std::vector<std::byte>(source.take(2) % 65000)};
        auto frame = (kind & 1) != 0 ? make_frame(kind < 128 ? kMac : kBroadcastAddress, kMac,
                                                  14 + packet.payload.size() % 20000)
                                     : make_tcp4(packet);
        if (frame.size() > ethernet::kMaxSuperFrame) return;
        const uint64_t spoiled = source.take(1);
        if (spoiled < frame.size()) frame[spoiled] ^= static_cast<std::byte>(source.take(1));
        (void)backend_.deliver(frame);
    }

    PciSlotBoard slot_{kRam};
    ByteBoard board_;
    ScriptedNetworkBackend backend_;
    Card card_{slot_.attachment(), board_.clock(), backend_, kMac, {}};
};

// Accesses to a place in a space as if to a handler.
class SpaceWindow final : public IoHandler {
  public:
    SpaceWindow(IoSpace& space, uint64_t base) : space_(space), base_(base) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        return space_.read(base_ + offset, size);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        space_.write(base_ + offset, size, value);
    }

  private:
    IoSpace& space_;
    uint64_t base_;
};

inline void drive_e1000(std::span<const uint8_t> bytes) {
    using namespace i82540em;
    NetworkCardBoard<E1000> board;
    SpaceWindow memory(board.slot().memory_space, board.place(0, 0xfe000000));
    SpaceWindow ports(board.slot().ports, board.place(1, 0xc000));
    memory.write(kCtrl, 4, kCtrlSlu);
    memory.write(kTdlen, 4, 0x800);
    memory.write(kTctl, 4, kTctlEn | kTctlPsp);
    memory.write(kRdlen, 4, 0x800);
    memory.write(kRctl, 4, kRctlEn | kRctlBam | kRctlUpe | kRctlMpe);
    board.board().add(memory, kMemoryWindow, 8);
    board.board().add(ports, kIoWindow, 4);
    // The registers that matter, hit more often than chance would.
    board.board().add([&memory](ByteSource& source) {
        constexpr uint32_t kOften[] = {kTdt,  kRdt,  kTdbal,  kRdbal, kTdh,    kRdh,  kTdlen,
                                       kIcr,  kIms,  kItr,    kRdtr,  kRctl,   kTctl, kCtrl,
                                       kMdic, kEecd, kRxcsum, kTidv,  kTxdctl, kVfta, kMta};
        const uint32_t offset = kOften[source.take(1) % std::size(kOften)];
        memory.write(offset, 4, source.take(source.take(1) % 2 == 0 ? 1 : 4));
    });
    board.run(bytes);
}

inline void drive_rtl8139(std::span<const uint8_t> bytes) {
    using namespace rtl8139;
    NetworkCardBoard<Rtl8139> board;
    SpaceWindow ports(board.slot().ports, board.place(0, 0xc000));
    SpaceWindow memory(board.slot().memory_space, board.place(1, 0xfe000000));
    const bool plus = !bytes.empty() && (bytes[0] & 1) != 0;
    memory.write(kCr, 1, kCrRe | kCrTe);
    memory.write(kRcr, 4, kRcrAap | kRcrAb | kRcrAm);
    if (plus) memory.write(kCpcr, 2, kCpcrTransmit | kCpcrReceive | kCpcrChecksum);
    board.board().add(ports, kWindow, 4);
    board.board().add(memory, kWindow, 8);
    // The registers that matter, hit more often than chance would.
    board.board().add([&memory](ByteSource& source) {
        constexpr unsigned kOften[] = {kTsd0,  kTsad0, kRbstart, kCapr, kCr,      kRcr,
                                       kTnpds, kRdsar, kTppoll,  kCpcr, kTppoll,  kTsd0 + 4,
                                       kIsr,   kImr,   kDtccr,   kTcr,  kTimerInt};
        const unsigned offset = kOften[source.take(1) % std::size(kOften)];
        const unsigned size = 1u << source.take(1) % 3;
        memory.write(offset, size, source.take(size));
    });
    board.run(bytes);
}

}  // namespace mynah::testing
