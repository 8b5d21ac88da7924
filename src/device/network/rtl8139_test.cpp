#include "device/network/rtl8139.h"

#include <gtest/gtest.h>

#include <optional>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "testing/manual_clock.h"
#include "testing/packet_builder.h"
#include "testing/pci_slot.h"
#include "testing/scripted_network_backend.h"

namespace mynah {
namespace {

using namespace ethernet;
using namespace rtl8139;
using namespace testing;

constexpr MacAddress kMac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
constexpr MacAddress kPeer{{0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc}};
constexpr uint64_t kPorts = 0xc000, kMemory = 0xfe000000;
constexpr uint64_t kBuffer = 0x10000, kTxRing = 0x2000, kRxRing = 0x3000, kData = 0x40000;

class Rtl8139Test : public ::testing::Test {
  protected:
    Rtl8139Test() {
        card_.emplace(slot_.attachment(), clock_, backend_, kMac, std::vector<std::byte>(5000));
        card_->function().config_write(0x10, 4, kPorts);
        card_->function().config_write(0x14, 4, kMemory);
        card_->function().config_write(0x04, 2, 7);
    }
    template <typename T = uint32_t>
    T read(unsigned offset) {
        return static_cast<T>(slot_.ports.read(kPorts + offset, sizeof(T)));
    }
    template <typename T>
    void write(unsigned offset, T value) {
        slot_.memory_space.write(kMemory + offset, sizeof(T), value);
    }
    void begin(uint32_t rcr = kRcrAb | kRcrApm | kRcrWrap) {
        write<uint8_t>(kCr, kCrRst);
        EXPECT_EQ(read<uint8_t>(kCr), kCrBufe);
        write<uint32_t>(kRbstart, kBuffer);
        write<uint8_t>(kCr, kCrRe | kCrTe);
        write<uint32_t>(kRcr, rcr);
        write<uint16_t>(kImr, kIntRok | kIntTok | kIntTer | kIntRxovw | kIntTimeOut);
    }
    void begin_plus() {
        begin();
        write<uint16_t>(kCpcr, kCpcrTransmit | kCpcrReceive | kCpcrChecksum);
        write<uint32_t>(kTnpds, kTxRing);
        write<uint32_t>(kTnpds + 4, 0);
        write<uint32_t>(kRdsar, kRxRing);
        for (unsigned i = 0; i < 4; ++i) give_receive(i);
    }
    void give_receive(unsigned index, uint32_t size = 1600) {
        const Descriptor descriptor{kOwn | (index == 3 ? kEndOfRing : 0) | size, 0,
                                    kBuffer + index * uint64_t{2048}};
        ASSERT_TRUE(slot_.memory->store(GuestPhys{kRxRing + index * 16}, descriptor));
    }
    Descriptor descriptor_at(uint64_t ring, unsigned index) {
        return slot_.memory->load<Descriptor>(GuestPhys{ring + index * 16}).value();
    }
    void put(uint64_t place, std::span<const std::byte> bytes) {
        ASSERT_TRUE(slot_.memory->write(GuestPhys{place}, bytes));
    }
    std::vector<std::byte> get(uint64_t place, size_t size) {
        std::vector<std::byte> bytes(size);
        EXPECT_TRUE(slot_.memory->read(GuestPhys{place}, bytes));
        return bytes;
    }
    void add_plus(unsigned index, std::span<const std::byte> frame, uint32_t command,
                  uint32_t vlan = 0) {
        put(kData, frame);
        const Descriptor descriptor{
            kOwn | kFirst | kLast | command | static_cast<uint32_t>(frame.size()), vlan, kData};
        ASSERT_TRUE(slot_.memory->store(GuestPhys{kTxRing + index * 16}, descriptor));
    }

    PciSlotBoard slot_{1 << 20, 1 << 20};
    ManualClock clock_;
    ScriptedNetworkBackend backend_;
    std::optional<Rtl8139> card_;
};

TEST_F(Rtl8139Test, IsThatCard) {
    EXPECT_EQ(card_->function().config_read(0, 4), 0x813910ecu);
    EXPECT_EQ(card_->function().config_read(8, 1), 0x20u);
    EXPECT_EQ(read(kIdr0), 0x12005452u);
    EXPECT_EQ(read<uint16_t>(kIdr0 + 4), 0x5634);
    EXPECT_EQ(read(kTcr) & 0x7cc00000, kTcrVersion);
    EXPECT_EQ(read<uint8_t>(kMsr) & kMsrLinkBad, 0);
    EXPECT_EQ(read<uint16_t>(kBmsr) & (kBmsrLink | kBmsrComplete), kBmsrLink | kBmsrComplete);
}

TEST_F(Rtl8139Test, ReadsItsEeprom) {
    const auto pins = [this](uint8_t bits) { write<uint8_t>(k9346Cr, 0x80 | bits); };
    const auto clock = [&](uint8_t data) {
        pins(static_cast<uint8_t>(kEecs | data));
        pins(static_cast<uint8_t>(kEecs | kEesk | data));
    };
    pins(0);
    pins(kEecs);
    for (const int bit : {1, 1, 0, 0, 0, 0, 1, 1, 1}) clock(bit != 0 ? kEedi : 0);  // READ 7
    uint32_t word = 0;
    for (int i = 0; i < 16; ++i) {
        clock(0);
        word = word << 1 | (read<uint8_t>(k9346Cr) & kEedo);
    }
    EXPECT_EQ(word, 0x5452u);
}

TEST_F(Rtl8139Test, ChangesItsAddressOnlyWhenUnlocked) {
    write<uint32_t>(kIdr0, 0x11111110);
    EXPECT_EQ(read(kIdr0), 0x12005452u);
    write<uint8_t>(k9346Cr, 0xc0);
    write<uint32_t>(kIdr0, 0x11111110);
    EXPECT_EQ(read(kIdr0), 0x11111110u);
    write<uint8_t>(k9346Cr, 0x40);  // loaded again from the EEPROM
    EXPECT_EQ(read(kIdr0), 0x12005452u);
    EXPECT_EQ(read<uint8_t>(k9346Cr) >> 6, 0);
}

TEST_F(Rtl8139Test, MergesNarrowWrites) {
    write<uint32_t>(kMar0, 0x04030201);
    write<uint16_t>(kMar0 + 6, 0x0807);
    EXPECT_EQ(read(kMar0), 0x04030201u);
    EXPECT_EQ(read(kMar0 + 4), 0x08070000u);
    write<uint8_t>(kRbstart + 1, 0x12);
    EXPECT_EQ(read(kRbstart), 0x1200u);
    write<uint32_t>(kImr, 0xffffe1ff);  // and all of the status register behind it
    EXPECT_EQ(read<uint16_t>(kImr), kIntMask);
    EXPECT_EQ(read<uint16_t>(kIsr), 0);
}

// --- C mode.

TEST_F(Rtl8139Test, SendsFromRegistersInTurn) {
    begin();
    for (uint8_t i = 0; i < 10; ++i) {
        const auto frame = make_frame(kPeer, kMac, 100 + i, i);
        put(kData, frame);
        write<uint32_t>(kTsad0 + i % 4 * 4, kData);
        write<uint32_t>(kTsd0 + i % 4 * 4, static_cast<uint32_t>(frame.size()));
        const auto sent = backend_.take_sent();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].bytes, frame);
        EXPECT_EQ(read(kTsd0 + i % 4 * 4) & (kTsdOwn | kTsdTok), kTsdOwn | kTsdTok);
        EXPECT_TRUE(slot_.intx.level());
        write<uint16_t>(kIsr, kIntTok);
        EXPECT_FALSE(slot_.intx.level());
    }
    EXPECT_EQ(read<uint16_t>(kTsad) & 0x300f, 0x300f);
}

TEST_F(Rtl8139Test, TellsOfAFrameThatIsNowhere) {
    begin();
    write<uint32_t>(kTsad0, 0xf0000000);
    write<uint32_t>(kTsd0, 100);
    EXPECT_TRUE(backend_.take_sent().empty());
    EXPECT_NE(read<uint16_t>(kIsr) & kIntTer, 0);
    EXPECT_NE(read(kTsd0) & kTsdTabt, 0u);
}

TEST_F(Rtl8139Test, ReceivesIntoItsBuffer) {
    begin();
    const auto frame = make_frame(kMac, kPeer, 101);
    ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_EQ(read<uint8_t>(kCr) & kCrBufe, 0);
    EXPECT_EQ(slot_.memory->load<uint16_t>(GuestPhys{kBuffer}).value(), kRxRok | kRxPam);
    EXPECT_EQ(slot_.memory->load<uint16_t>(GuestPhys{kBuffer + 2}).value(), 105);
    EXPECT_EQ(get(kBuffer + 4, 101), frame);
    EXPECT_EQ(read<uint16_t>(kCbr), 112);  // a multiple of four
    write<uint16_t>(kCapr, 112 - 16);
    EXPECT_NE(read<uint8_t>(kCr) & kCrBufe, 0);
}

TEST_F(Rtl8139Test, GoesAroundItsBufferAndHoldsBack) {
    for (const uint32_t wrap : {0u, kRcrWrap}) {
        begin(kRcrApm | wrap);
        uint32_t at = 0;
        uint8_t seed = 0;
        for (int round = 0; round < 40; ++round) {
            const auto frame = make_frame(kMac, kPeer, 1000, seed++);
            ASSERT_TRUE(backend_.deliver(frame));
            std::vector<std::byte> got = get(kBuffer + at, 4 + 1000);
            if (wrap == 0 && at + 1004 > 8192) {
                const size_t first = 8192 - at;
                got = get(kBuffer + at, first);
                const auto rest = get(kBuffer, 1004 - first);
                got.insert(got.end(), rest.begin(), rest.end());
            }
            got.erase(got.begin(), got.begin() + 4);
            ASSERT_EQ(got, frame) << round;
            at = (at + 1008) % 8192;
            write<uint16_t>(kCapr, static_cast<uint16_t>(at - 16));
        }
        unsigned fitted = 0;
        while (backend_.deliver(make_frame(kMac, kPeer, 1000))) ++fitted;
        EXPECT_EQ(fitted, 8u);
        const unsigned before = backend_.receive_ready_calls();
        at = (at + 1008) % 8192;
        write<uint16_t>(kCapr, static_cast<uint16_t>(at - 16));
        EXPECT_EQ(backend_.receive_ready_calls(), before + 1);
        EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 1000)));
    }
}

TEST_F(Rtl8139Test, FiltersAddresses) {
    const MacAddress group{{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}};
    const auto takes = [this](const MacAddress& destination, uint32_t rcr) {
        begin(rcr);
        EXPECT_TRUE(backend_.deliver(make_frame(destination, kPeer, 60)));
        return (read<uint8_t>(kCr) & kCrBufe) == 0;
    };
    EXPECT_FALSE(takes(kMac, 0));
    EXPECT_TRUE(takes(kMac, kRcrApm));
    EXPECT_FALSE(takes(kPeer, kRcrApm));
    EXPECT_TRUE(takes(kPeer, kRcrAap));
    EXPECT_FALSE(takes(kBroadcastAddress, kRcrApm));
    EXPECT_TRUE(takes(kBroadcastAddress, kRcrAb));
    EXPECT_FALSE(takes(group, kRcrAm));
    // All hosts' group has hash 31 [as Linux' ether_crc() >> 26 gives].
    write<uint32_t>(kMar0, 0x80000000);
    EXPECT_TRUE(takes(group, kRcrAm));
    EXPECT_FALSE(takes(group, 0));
}

// --- C+ mode.

TEST_F(Rtl8139Test, SendsFromARing) {
    begin_plus();
    const auto frame = make_frame(kPeer, kMac, 300);
    add_plus(0, frame, kEndOfRing);
    write<uint8_t>(kTppoll, kTppollNormal);
    EXPECT_EQ(backend_.take_sent().at(0).bytes, frame);
    EXPECT_EQ(descriptor_at(kTxRing, 0).command & kOwn, 0u);
    EXPECT_NE(read<uint16_t>(kIsr) & kIntTok, 0);
    add_plus(0, frame, kEndOfRing, kTagInsert | 0x2160);  // around; with a tag
    write<uint8_t>(kTppoll, kTppollNormal);
    const auto tagged = backend_.take_sent();
    EXPECT_EQ(tagged.at(0).bytes.size(), 304u);
    EXPECT_EQ(load32(tagged[0].bytes, 12), 0x81006021u);
}

TEST_F(Rtl8139Test, MakesChecksums) {
    begin_plus();
    TcpPacket packet{kMac, kPeer, 1, 2, 3, 4, 5, 6, 0x10, std::vector<std::byte>(333)};
    auto frame = make_tcp4(packet);
    store16(frame, 24, 0xdead);  // the chip makes them from nothing
    store16(frame, 50, 0xdead);
    add_plus(0, frame, kIpSum | kTcpSum);
    write<uint8_t>(kTppoll, kTppollNormal);
    EXPECT_TRUE(checksums_good(backend_.take_sent().at(0).bytes));
}

TEST_F(Rtl8139Test, CutsLargeSends) {
    TcpPacket packet{kMac, kPeer, 1, 2, 3, 4, 5, 6, 0x18, {}};
    for (size_t i = 0; i < 4000; ++i) packet.payload.push_back(static_cast<std::byte>(i * 7));
    for (const bool whole : {false, true}) {
        card_.reset();
        backend_.set_transmit_offloads({whole, whole, whole});
        card_.emplace(slot_.attachment(), clock_, backend_, kMac, std::span<std::byte>());
        card_->function().config_write(0x10, 4, kPorts);
        card_->function().config_write(0x14, 4, kMemory);
        card_->function().config_write(0x04, 2, 7);
        begin_plus();
        add_plus(0, make_tcp4(packet), kLargeSend | 1460u << 16);
        write<uint8_t>(kTppoll, kTppollNormal);
        const auto sent = backend_.take_sent();
        ASSERT_EQ(sent.size(), whole ? 1u : 3u);
        std::vector<std::byte> payload;
        for (const CapturedFrame& frame : sent) {
            auto bytes = frame.bytes;
            complete_frame(bytes, frame.offload, [&](std::span<const std::byte> out) {
                EXPECT_TRUE(checksums_good(out));
                const auto headers = find_headers(out);
                payload.insert(payload.end(), out.begin() + static_cast<long>(headers->payload),
                               out.begin() + static_cast<long>(headers->end));
            });
        }
        EXPECT_EQ(payload, packet.payload);
    }
}

TEST_F(Rtl8139Test, ReceivesIntoARing) {
    begin_plus();
    TcpPacket packet{kPeer, kMac, 1, 2, 3, 4, 5, 6, 0x10, std::vector<std::byte>(100)};
    auto frame = make_tcp4(packet);
    ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_EQ(descriptor_at(kRxRing, 0).command,
              kFirst | kLast | kRxPhysical | 1u << 16 | (154 + 4));
    EXPECT_EQ(get(kBuffer, 154), frame);
    frame[60] ^= std::byte{1};
    ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_NE(descriptor_at(kRxRing, 1).command & kRxTcpFail, 0u);
    write<uint16_t>(kCpcr, kCpcrTransmit | kCpcrReceive | kCpcrVlan);
    auto tagged = make_frame(kMac, kPeer, 100);
    const auto plain = tagged;
    const std::array tag{std::byte{0x81}, std::byte{0}, std::byte{0x60}, std::byte{0x21}};
    tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
    ASSERT_TRUE(backend_.deliver(tagged));
    EXPECT_EQ(descriptor_at(kRxRing, 2).vlan, kRxTagAvailable | 0x2160);
    EXPECT_EQ(get(kBuffer + 2 * 2048, 100), plain);
}

TEST_F(Rtl8139Test, SpreadsFramesAndLooksAgainForDescriptors) {
    begin_plus();
    for (unsigned i = 0; i < 4; ++i) give_receive(i, 400);
    EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 1000)));
    EXPECT_EQ(descriptor_at(kRxRing, 0).command & (kFirst | kLast), kFirst);
    EXPECT_EQ(descriptor_at(kRxRing, 2).command & (kFirst | kLast), kLast);
    EXPECT_FALSE(backend_.deliver(make_frame(kMac, kPeer, 1000)));
    EXPECT_NE(read<uint16_t>(kIsr) & kIntRxovw, 0);
    for (unsigned i = 0; i < 4; ++i) give_receive(i);
    EXPECT_EQ(backend_.receive_ready_calls(), 0u);
    clock_.advance(Rtl8139::kRetryNs);
    EXPECT_EQ(backend_.receive_ready_calls(), 1u);
    EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 1000)));
    EXPECT_NE(descriptor_at(kRxRing, 3).command & kLast, 0u);
}

TEST_F(Rtl8139Test, DumpsItsCounters) {
    begin_plus();
    add_plus(0, make_frame(kPeer, kMac, 60), 0);
    write<uint8_t>(kTppoll, kTppollNormal);
    write<uint32_t>(kDtccr + 4, 0);
    write<uint32_t>(kDtccr, 0x8000 | kDtccrDump);
    EXPECT_EQ(read(kDtccr) & kDtccrDump, 0u);
    EXPECT_EQ(slot_.memory->load<uint64_t>(GuestPhys{0x8000}).value(), 1u);
}

TEST_F(Rtl8139Test, HasATimer) {
    begin();
    write<uint32_t>(kTctr, 0);
    write<uint32_t>(kTimerInt, 33000);  // a millisecond
    clock_.advance(999'000);
    EXPECT_FALSE(slot_.intx.level());
    EXPECT_NEAR(read(kTctr), 32967, 2);
    clock_.advance(1'000);
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_EQ(read<uint16_t>(kIsr), kIntTimeOut);
}

TEST_F(Rtl8139Test, TellsOfTheLinkAndResets) {
    begin();
    write<uint16_t>(kImr, kIntLinkChange);
    write<uint16_t>(kIsr, 0xffff);
    backend_.set_link(false);
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_NE(read<uint8_t>(kMsr) & kMsrLinkBad, 0);
    card_->reset();
    EXPECT_FALSE(slot_.intx.level());
    EXPECT_EQ(card_->function().command(), 0);
}

}  // namespace
}  // namespace mynah
