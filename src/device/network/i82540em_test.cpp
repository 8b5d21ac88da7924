#include "device/network/i82540em.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "testing/packet_builder.h"
#include "testing/recording_network_sink.h"

namespace mynah {
namespace {

using namespace ethernet;
using namespace i82540em;
using namespace testing;
using ::testing::ElementsAre;

constexpr MacAddress kMac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
constexpr MacAddress kPeer{{0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc}};
constexpr uint64_t kTxRing = 0x1000, kRxRing = 0x2000, kTxData = 0x10000, kRxData = 0x40000;
constexpr uint32_t kRingSize = 16;

// A driver of the chip, with rings where it likes.
class I82540emTest : public ::testing::Test {
  protected:
    I82540emTest() {
        const GuestMemory::Range range{GuestPhys{0}, 0x100000};
        memory_ = GuestMemory::create({&range, 1}).take_value();
        dma_.emplace(*memory_);
        chip_.set_link(true, 0);
    }
    uint32_t read(uint32_t offset) { return chip_.read(offset, now_); }
    void write(uint32_t offset, uint32_t value) { chip_.write(offset, value, now_); }

    void begin_transmit() {
        write(kTdbal, kTxRing);
        write(kTdbah, 0);
        write(kTdlen, kRingSize * 16);
        write(kTctl, kTctlEn | kTctlPsp);
    }
    void begin_receive(uint32_t rctl = kRctlEn | kRctlBam | kRctlSecrc) {
        write(kCtrl, kCtrlSlu);
        for (uint64_t i = 0; i < kRingSize; ++i) {
            ReceiveDescriptor descriptor{};
            descriptor.address = kRxData + i * 2048;
            ASSERT_TRUE(memory_->store(GuestPhys{kRxRing + i * 16}, descriptor));
        }
        write(kRdbal, kRxRing);
        write(kRdlen, kRingSize * 16);
        write(kRdh, 0);
        write(kRdt, kRingSize - 1);
        write(kRctl, rctl);
        read(kIcr);
    }
    void add(TransmitDescriptor descriptor) {
        ASSERT_TRUE(memory_->store(GuestPhys{kTxRing + next_tx_ * 16}, descriptor));
        next_tx_ = (next_tx_ + 1) % kRingSize;
    }
    void add_legacy(std::span<const std::byte> frame, uint32_t command = 0, uint32_t status = 0) {
        ASSERT_TRUE(memory_->write(GuestPhys{data_}, frame));
        add({data_, command | kTxEop | kTxRs | static_cast<uint32_t>(frame.size()), status});
        data_ += frame.size();
    }
    void add_data(std::span<const std::byte> bytes, uint32_t command, uint32_t status = 0) {
        ASSERT_TRUE(memory_->write(GuestPhys{data_}, bytes));
        add({data_, command | kTxDext | kTxTypeData << 20 | static_cast<uint32_t>(bytes.size()),
             status});
        data_ += bytes.size();
    }
    // IP at 14, TCP at 34 or, for version 6, 54.
    void add_context(bool ipv6, bool segment, uint32_t mss = 0, uint32_t header = 0,
                     bool tcp = true) {
        const uint64_t transport = ipv6 ? 54 : 34;
        const uint64_t place = transport + (tcp ? 16 : 6);
        TransmitDescriptor context{};
        context.low = 14 | 24 << 8 | (transport - 1) << 16 | transport << 32 | place << 40;
        context.command =
            kTxDext | (segment ? kTxTse : 0) | (tcp ? kContextTcp : 0) | (ipv6 ? 0 : kContextIpv4);
        context.status = header << 8 | mss << 16;
        add(context);
    }
    std::vector<CapturedFrame> fetch(NetworkOffloads offloads = {}) {
        write(kTdt, next_tx_);
        std::vector<CapturedFrame> sent;
        for (bool more = true; more;) {
            TransmitBatch batch;
            more = chip_.fetch(*dma_, offloads, batch, now_);
            for (const NetworkFrame& frame : batch.frames()) sent.push_back(capture(frame));
        }
        return sent;
    }
    bool receive(std::vector<std::byte> bytes, bool good = false) {
        const Slice piece = bytes;
        FrameOffload offload;
        offload.checksum_good = good;
        return chip_.receive({std::span(&piece, 1), bytes.size(), offload}, *dma_, now_);
    }
    ReceiveDescriptor received(uint64_t index) {
        return memory_->load<ReceiveDescriptor>(GuestPhys{kRxRing + index * 16}).value();
    }
    std::vector<std::byte> bytes_at(uint64_t place, size_t size) {
        std::vector<std::byte> bytes(size);
        EXPECT_TRUE(memory_->read(GuestPhys{place}, bytes));
        return bytes;
    }
    static TcpPacket packet_of(size_t payload) {
        TcpPacket packet{kMac, kPeer, 0x0a00020f, 0x0a000202, 40, 80, 7, 9, kTcpFlagsAll, {}};
        for (size_t i = 0; i < payload; ++i) {
            packet.payload.push_back(static_cast<std::byte>(i * 5 + (i >> 8)));
        }
        return packet;
    }
    static constexpr uint8_t kTcpFlagsAll = 0x19;  // FIN, PSH, ACK

    uint64_t now_ = 1'000'000;
    std::unique_ptr<GuestMemory> memory_;
    std::optional<DmaView> dma_;
    I82540em chip_{kMac};
    uint32_t next_tx_ = 0;
    uint64_t data_ = kTxData;
};

// --- Identity.

TEST_F(I82540emTest, KeepsItsAddressInTheEeprom) {
    const uint16_t words[] = {0x5452, 0x1200, 0x5634};
    uint16_t sum = 0;
    for (uint32_t i = 0; i < 64; ++i) {
        write(kEerd, i << 8 | kEerdStart);
        const uint32_t value = read(kEerd);
        EXPECT_NE(value & kEerdDone, 0u);
        if (i < 3) {
            EXPECT_EQ(value >> 16, words[i]);
        }
        sum = static_cast<uint16_t>(sum + (value >> 16));
    }
    EXPECT_EQ(sum, 0xbaba);
    EXPECT_EQ(read(kRal), 0x12005452u);
    EXPECT_EQ(read(kRal + 4), 0x80005634u);
}

TEST_F(I82540emTest, ShowsItsEepromAtThePins) {
    write(kEecd, kEecdReq);
    EXPECT_NE(read(kEecd) & kEecdGnt, 0u);
    EXPECT_NE(read(kEecd) & kEecdPres, 0u);
    const auto clock = [this](uint32_t data) {
        write(kEecd, kEecdReq | kEecdCs | data);
        write(kEecd, kEecdReq | kEecdCs | kEecdSk | data);
    };
    write(kEecd, kEecdReq | kEecdCs);
    for (const int bit : {1, 1, 0, 0, 0, 0, 0, 0, 1}) clock(bit != 0 ? kEecdDi : 0);  // READ 1
    uint32_t word = 0;
    for (int i = 0; i < 16; ++i) {
        clock(0);
        word = word << 1 | ((read(kEecd) & kEecdDo) != 0 ? 1 : 0);
    }
    EXPECT_EQ(word, 0x1200u);
}

TEST_F(I82540emTest, TalksToItsTransceiver) {
    const auto phy_read = [this](uint32_t reg) {
        write(kMdic, 2u << 26 | 1u << 21 | reg << 16);
        EXPECT_EQ(read(kMdic) & (kMdicReady | kMdicError), kMdicReady);
        return read(kMdic) & 0xffff;
    };
    EXPECT_EQ(phy_read(2), 0x0141u);
    EXPECT_EQ(phy_read(3) & 0xfff0, 0x0c20u);
    EXPECT_EQ(phy_read(1) & 0x0024, 0x0024u);
    chip_.set_link(false, now_);
    EXPECT_EQ(phy_read(1) & 0x0024, 0u);
    chip_.set_link(true, now_);
    chip_.set_link(false, now_);
    chip_.set_link(true, now_);
    EXPECT_EQ(phy_read(1) & 0x0004, 0u);  // it was down in between
    EXPECT_EQ(phy_read(1) & 0x0024, 0x0024u);
    write(kMdic, 1u << 26 | 1u << 21 | 4u << 16 | 0x0001);
    EXPECT_EQ(phy_read(4), 0x0001u);
    write(kMdic, 1u << 26 | 1u << 21 | 0u << 16 | 0x8000);  // reset
    EXPECT_EQ(phy_read(4), 0x0de1u);
    EXPECT_EQ(phy_read(0), 0x1140u);
    write(kMdic, 2u << 26 | 2u << 21);  // nobody there
    EXPECT_NE(read(kMdic) & kMdicError, 0u);
}

TEST_F(I82540emTest, KeepsWhatCanBeWritten) {
    struct Case {
        uint32_t offset, mask;
    };
    // The masks that a diagnostic program tries [8254x 13.4].
    const Case cases[] = {{kFcal, 0xffffffff},    {kFcah, 0xffff},         {kFct, 0xffff},
                          {kVet, 0xffff},         {kRdtr, 0xffff},         {kRdbah, 0xffffffff},
                          {kRdbal, 0xfffffff0},   {kRdlen, 0xfff80},       {kRdh, 0xffff},
                          {kRdt, 0xffff},         {kFcrth, 0xfff8},        {kFcttv, 0xffff},
                          {kTipg, 0x3fffffff},    {kTdbah, 0xffffffff},    {kTdbal, 0xfffffff0},
                          {kTdlen, 0xfff80},      {kTidv, 0xffff},         {kTxcw, 0xc000ffff},
                          {kMta + 8, 0xffffffff}, {kVfta + 4, 0xffffffff}, {kRal + 16, 0xffffffff},
                          {kRal + 20, 0x8003ffff}};
    for (const Case& each : cases) {
        for (const uint32_t pattern : {0x5a5a5a5au, 0xa5a5a5a5u, 0u, 0xffffffffu}) {
            write(each.offset, pattern);
            EXPECT_EQ(read(each.offset), pattern & each.mask) << std::hex << each.offset;
        }
    }
    write(kStatus, 0);
    EXPECT_NE(read(kStatus) & kStatusFd, 0u);
}

TEST_F(I82540emTest, ResetForgetsButForTheEeprom) {
    begin_transmit();
    write(kMta, 5);
    write(kRal, 0);
    write(kIms, kCauseLsc);
    write(kIcs, kCauseLsc);
    EXPECT_TRUE(chip_.interrupt());
    write(kCtrl, kCtrlRst);
    EXPECT_FALSE(chip_.interrupt());
    EXPECT_EQ(read(kTdbal), 0u);
    EXPECT_EQ(read(kTctl), 0u);
    EXPECT_EQ(read(kIms), 0u);
    EXPECT_EQ(read(kRal), 0x12005452u);
    EXPECT_EQ(read(kCtrl) & kCtrlRst, 0u);
}

// --- Link and interrupts.

TEST_F(I82540emTest, TellsOfTheLink) {
    EXPECT_EQ(read(kStatus) & kStatusLu, 0u);
    write(kIms, kCauseLsc);
    write(kCtrl, kCtrlSlu);
    EXPECT_NE(read(kStatus) & kStatusLu, 0u);
    EXPECT_TRUE(chip_.interrupt());
    EXPECT_EQ(read(kIcr), kCauseLsc);
    EXPECT_FALSE(chip_.interrupt());
    chip_.set_link(false, now_);
    EXPECT_TRUE(chip_.interrupt());
    EXPECT_EQ(read(kStatus) & kStatusLu, 0u);
}

TEST_F(I82540emTest, MasksInterrupts) {
    write(kIcs, kCauseRxt0 | kCauseTxdw);
    EXPECT_FALSE(chip_.interrupt());
    write(kIms, kCauseRxt0);
    EXPECT_TRUE(chip_.interrupt());
    write(kImc, kCauseRxt0);
    EXPECT_FALSE(chip_.interrupt());
    write(kIms, kCauseTxdw);
    write(kIcr, kCauseTxdw);  // writing ones clears
    EXPECT_FALSE(chip_.interrupt());
    EXPECT_EQ(read(kIcr), kCauseRxt0);
    EXPECT_EQ(read(kIcr), 0u);
}

TEST_F(I82540emTest, ThrottlesInterrupts) {
    write(kItr, 1000);  // 256 microseconds
    write(kIms, kCauseTxdw);
    write(kIcs, kCauseTxdw);
    EXPECT_TRUE(chip_.interrupt());
    read(kIcr);
    now_ += 1000;
    write(kIcs, kCauseTxdw);
    EXPECT_FALSE(chip_.interrupt());
    EXPECT_EQ(chip_.deadline(), 1'000'000u + 256'000);
    now_ = chip_.deadline();
    chip_.expire(now_);
    EXPECT_TRUE(chip_.interrupt());
    EXPECT_EQ(chip_.deadline(), Interrupts::kNever);
}

TEST_F(I82540emTest, DelaysReceiveInterrupts) {
    begin_receive();
    write(kIms, kCauseRxt0);
    write(kRdtr, 10);
    write(kRadv, 25);
    const auto frame = make_frame(kMac, kPeer, 60);
    ASSERT_TRUE(receive(frame));
    EXPECT_FALSE(chip_.interrupt());
    EXPECT_EQ(chip_.deadline(), now_ + 10 * 1024);
    now_ += 9 * 1024;
    ASSERT_TRUE(receive(frame));  // starts the packet timer anew
    EXPECT_EQ(chip_.deadline(), now_ + 10 * 1024);
    now_ += 9 * 1024;
    ASSERT_TRUE(receive(frame));
    EXPECT_EQ(chip_.deadline(), 1'000'000u + 25 * 1024);  // the absolute one is earlier
    now_ = chip_.deadline();
    chip_.expire(now_);
    EXPECT_TRUE(chip_.interrupt());
    EXPECT_EQ(read(kIcr), kCauseRxt0);
    ASSERT_TRUE(receive(frame));
    write(kRdtr, kRdtrFlush | 10);
    EXPECT_TRUE(chip_.interrupt());
}

// --- Transmit.

TEST_F(I82540emTest, SendsFrames) {
    begin_transmit();
    write(kIms, kCauseTxdw);
    const auto frame = make_frame(kPeer, kMac, 700);
    add_legacy(frame);
    const auto sent = fetch();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes, frame);
    EXPECT_EQ(read(kTdh), 1u);
    EXPECT_EQ(memory_->load<uint32_t>(GuestPhys{kTxRing + 12}).value() & kTxStatusDd, 1u);
    EXPECT_TRUE(chip_.interrupt());
    EXPECT_EQ(read(kIcr) & (kCauseTxdw | kCauseTxqe), kCauseTxdw | kCauseTxqe);
    EXPECT_EQ(read(kGptc), 1u);
    EXPECT_EQ(read(kGptc), 0u);  // cleared by being read
    EXPECT_EQ(read(kGotcl), 704u);
    EXPECT_EQ(read(kPtc64 + 16), 1u);  // 512 to 1023 bytes
}

TEST_F(I82540emTest, SendsNothingWhileOff) {
    begin_transmit();
    write(kTctl, 0);
    add_legacy(make_frame(kPeer, kMac, 60));
    EXPECT_TRUE(fetch().empty());
    write(kTctl, kTctlEn);
    EXPECT_EQ(fetch().size(), 1u);
}

TEST_F(I82540emTest, PutsFramesTogetherAndPadsThem) {
    begin_transmit();
    const auto frame = make_frame(kPeer, kMac, 40);
    add_data(std::span(frame).first(10), 0);
    EXPECT_TRUE(fetch().empty());  // the rest comes later
    add_data(std::span(frame).subspan(10), kTxEop);
    const auto sent = fetch();
    ASSERT_EQ(sent.size(), 1u);
    auto padded = frame;
    padded.resize(60);
    EXPECT_EQ(sent[0].bytes, padded);
}

TEST_F(I82540emTest, GoesAroundTheRing) {
    begin_transmit();
    for (uint8_t i = 0; i < 3 * kRingSize; ++i) {
        const auto frame = make_frame(kPeer, kMac, 64, i);
        add_legacy(frame);
        const auto sent = fetch();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].bytes, frame);
    }
}

TEST_F(I82540emTest, InsertsALegacyChecksum) {
    begin_transmit();
    auto frame = make_udp4(packet_of(33));
    make_checksum_partial(frame);
    add_legacy(frame, kTxIc | 40u << 16, 34u << 8);
    EXPECT_TRUE(checksums_good(fetch().at(0).bytes));
}

TEST_F(I82540emTest, InsertsChecksumsByContext) {
    begin_transmit();
    auto frame = make_tcp4(packet_of(100));
    make_checksum_partial(frame);
    store16(frame, 24, 0);
    add_context(false, false);
    add_data(frame, kTxEop, kTxIxsm | kTxTxsm);
    EXPECT_TRUE(checksums_good(fetch().at(0).bytes));
}

TEST_F(I82540emTest, LeavesChecksumsToABackendThatTakesThem) {
    begin_transmit();
    auto frame = make_tcp4(packet_of(100));
    make_checksum_partial(frame);
    add_context(false, false);
    add_data(frame, kTxEop, kTxTxsm);
    const auto sent = fetch({true, false, false});
    EXPECT_EQ(sent.at(0).bytes, frame);
    EXPECT_TRUE(sent[0].offload.needs_checksum);
    EXPECT_EQ(sent[0].offload.checksum_start, 34);
    EXPECT_EQ(sent[0].offload.checksum_offset, 16);
}

// What a driver hands over for segmentation: no length, no checksums, the sum over addresses.
std::vector<std::byte> segmentable(const TcpPacket& packet, bool ipv6) {
    auto frame = ipv6 ? make_tcp6(packet) : make_tcp4(packet);
    const PacketHeaders headers = *find_headers(frame);
    store16(frame, headers.transport + kTcpChecksum, pseudo_header_sum(frame, headers, 0));
    if (ipv6) {
        store16(frame, 14 + kIpv6Length, 0);
    } else {
        store16(frame, 14 + kIpv4Length, 0);
        store16(frame, 14 + kIpv4Checksum, 0);
    }
    return frame;
}

using Payload = std::vector<std::byte>;
Payload payload_of(std::span<const std::byte> frame) {
    const PacketHeaders headers = *find_headers(frame);
    const auto part = frame.subspan(headers.payload, headers.end - headers.payload);
    return {part.begin(), part.end()};
}

class SegmentationTest : public I82540emTest, public ::testing::WithParamInterface<bool> {};

TEST_P(SegmentationTest, CutsPackets) {
    const bool ipv6 = GetParam();
    begin_transmit();
    const TcpPacket packet = packet_of(3500);
    const auto frame = segmentable(packet, ipv6);
    const size_t header = ipv6 ? 74 : 54;
    add_context(ipv6, true, 1000, static_cast<uint32_t>(header));
    // In pieces that have nothing to do with headers and segments.
    const std::span<const std::byte> all = frame;
    add_data(all.first(20), kTxTse, kTxIxsm | kTxTxsm);
    add_data(all.subspan(20, 1500), kTxTse, kTxIxsm | kTxTxsm);
    add_data(all.subspan(1520), kTxTse | kTxEop | kTxRs, kTxIxsm | kTxTxsm);
    const auto sent = fetch();
    ASSERT_EQ(sent.size(), 4u);
    Payload payload;
    for (size_t i = 0; i < 4; ++i) {
        const auto& out = sent[i].bytes;
        EXPECT_TRUE(checksums_good(out));
        EXPECT_EQ(load32(out, find_headers(out)->transport + kTcpSequence), 7 + 1000 * i);
        EXPECT_EQ(static_cast<uint8_t>(out[find_headers(out)->transport + kTcpFlags]),
                  i == 3 ? 0x19 : 0x10);
        if (!ipv6) {
            EXPECT_EQ(load16(out, 14 + kIpv4Id), 0x1234 + i);
        }
        const Payload part = payload_of(out);
        EXPECT_EQ(part.size(), i == 3 ? 500u : 1000u);
        payload.insert(payload.end(), part.begin(), part.end());
    }
    EXPECT_EQ(payload, packet.payload);
    EXPECT_EQ(read(kTsctc), 1u);
}

TEST_P(SegmentationTest, LeavesPacketsWholeForABackendThatCuts) {
    const bool ipv6 = GetParam();
    begin_transmit();
    const TcpPacket packet = packet_of(3500);
    const auto frame = segmentable(packet, ipv6);
    add_context(ipv6, true, 1000, ipv6 ? 74 : 54);
    add_data(frame, kTxTse | kTxEop, kTxIxsm | kTxTxsm);
    const auto sent = fetch({true, true, true});
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].offload.segment_size, 1000);
    std::vector<Payload> parts;
    auto whole = sent[0].bytes;
    complete_frame(whole, sent[0].offload, [&](std::span<const std::byte> out) {
        EXPECT_TRUE(checksums_good(out));
        parts.push_back(payload_of(out));
    });
    ASSERT_EQ(parts.size(), 4u);
    Payload payload;
    for (const Payload& part : parts) payload.insert(payload.end(), part.begin(), part.end());
    EXPECT_EQ(payload, packet.payload);
}
INSTANTIATE_TEST_SUITE_P(Versions, SegmentationTest, ::testing::Bool());

TEST_F(I82540emTest, SurvivesSegmentationIntoNothing) {
    begin_transmit();
    const auto frame = segmentable(packet_of(3500), false);
    add_context(false, true, 0, 54);  // segments of no bytes
    add_data(frame, kTxTse | kTxEop, kTxIxsm | kTxTxsm);
    EXPECT_TRUE(fetch().empty());
    add_context(false, true, 1, 255);  // headers that are no headers
    add_data(frame, kTxTse | kTxEop, kTxIxsm | kTxTxsm);
    EXPECT_EQ(fetch().size(), frame.size() - 255);
    add_legacy(make_frame(kPeer, kMac, 60));
    EXPECT_EQ(fetch().size(), 1u);
}

TEST_F(I82540emTest, TagsFrames) {
    begin_transmit();
    write(kCtrl, kCtrlVme);
    const auto frame = make_frame(kPeer, kMac, 100);
    add_legacy(frame, kTxVle, 0x6005u << 16);
    const auto sent = fetch();
    ASSERT_EQ(sent.at(0).bytes.size(), 104u);
    EXPECT_EQ(load32(sent[0].bytes, 12), 0x81006005u);
    EXPECT_EQ(load16(sent[0].bytes, 16), 0x88b5);
}

TEST_F(I82540emTest, ThrowsAwayWhatCannotBeSent) {
    begin_transmit();
    add({0xfffffffff000, kTxEop | kTxRs | 100, 0});  // no memory there
    add_legacy(make_frame(kPeer, kMac, 60));
    EXPECT_EQ(fetch().size(), 1u);
    EXPECT_EQ(memory_->load<uint32_t>(GuestPhys{kTxRing + 12}).value() & kTxStatusDd, 1u);
    for (int i = 0; i < 5; ++i) add({kTxData, kTxDext | kTxTypeData << 20 | 0xfffff, 0});
    add_legacy(make_frame(kPeer, kMac, 60));  // its end
    EXPECT_TRUE(fetch().empty());
    add_legacy(make_frame(kPeer, kMac, 60));
    EXPECT_EQ(fetch().size(), 1u);
}

// --- Receive.

TEST_F(I82540emTest, ReceivesFrames) {
    begin_receive();
    write(kIms, kCauseRxt0);
    const auto frame = make_frame(kMac, kPeer, 700);
    ASSERT_TRUE(receive(frame));
    EXPECT_TRUE(chip_.interrupt());
    const ReceiveDescriptor descriptor = received(0);
    EXPECT_EQ(descriptor.length, 700);
    EXPECT_EQ(descriptor.status, kRxDd | kRxEop | kRxIxsm);
    EXPECT_EQ(descriptor.errors, 0);
    EXPECT_EQ(bytes_at(kRxData, 700), frame);
    EXPECT_EQ(read(kRdh), 1u);
    EXPECT_EQ(read(kGprc), 1u);
    EXPECT_EQ(read(kGorcl), 704u);
}

TEST_F(I82540emTest, PadsAndAddsTheCheckSequence) {
    begin_receive(kRctlEn | kRctlBam);
    ASSERT_TRUE(receive(make_frame(kMac, kPeer, 42)));
    EXPECT_EQ(received(0).length, 64);
}

TEST_F(I82540emTest, SpreadsLongFrames) {
    begin_receive(kRctlEn | kRctlLpe | kRctlSecrc);
    const auto frame = make_frame(kMac, kPeer, 5000);
    ASSERT_TRUE(receive(frame));
    EXPECT_EQ(received(0).status, kRxDd);
    EXPECT_EQ(received(1).status, kRxDd);
    EXPECT_EQ(received(2).status & kRxEop, kRxEop);
    EXPECT_EQ(received(0).length, 2048);
    EXPECT_EQ(received(2).length, 5000 - 4096);
    EXPECT_EQ(bytes_at(kRxData, 5000), frame);             // its buffers lie side by side
    EXPECT_TRUE(receive(make_frame(kMac, kPeer, 40000)));  // dropped
    EXPECT_EQ(read(kRoc), 1u);
    EXPECT_EQ(read(kRdh), 3u);
}

TEST_F(I82540emTest, HoldsBackWithoutDescriptors) {
    begin_receive();
    const auto frame = make_frame(kMac, kPeer, 60);
    for (uint32_t i = 0; i < kRingSize - 1; ++i) ASSERT_TRUE(receive(frame));
    EXPECT_NE(read(kIcr) & kCauseRxdmt0, 0u);
    EXPECT_FALSE(receive(frame));
    write(kRdt, 0);
    EXPECT_TRUE(receive(frame));
    EXPECT_FALSE(receive(frame));
    write(kRdt, 0xfff0);  // no place in the ring
    EXPECT_FALSE(receive(frame));
}

TEST_F(I82540emTest, FiltersAddresses) {
    const MacAddress group{{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}};
    const MacAddress other{{0x52, 0x54, 0x00, 0x99, 0x99, 0x99}};
    const auto takes = [this](const MacAddress& destination, uint32_t rctl) {
        begin_receive(rctl | kRctlEn);
        EXPECT_TRUE(receive(make_frame(destination, kPeer, 60)));
        return read(kRdh) == 1;
    };
    EXPECT_TRUE(takes(kMac, 0));
    EXPECT_FALSE(takes(other, 0));
    EXPECT_TRUE(takes(other, kRctlUpe));
    EXPECT_FALSE(takes(group, kRctlUpe));
    EXPECT_TRUE(takes(group, kRctlMpe));
    EXPECT_FALSE(takes(kBroadcastAddress, 0));
    EXPECT_TRUE(takes(kBroadcastAddress, kRctlBam));
    // The hash of bytes 5 and 6: bits 47 to 36 with MO = 0.
    const uint32_t hash = 0x0302 >> 4 & 0xfff;
    write(kMta + hash / 32 * 4, 1u << hash % 32);
    EXPECT_TRUE(takes(group, 0));
    EXPECT_FALSE(takes(group, 1u << 12));
    write(kMta + hash / 32 * 4, 0);
    write(kRal + 8, 0x99005452);
    write(kRal + 12, 0x80009999);
    EXPECT_TRUE(takes(other, 0));
    EXPECT_FALSE([&] {
        write(kRctl, 0);  // receiving is off
        EXPECT_TRUE(receive(make_frame(kMac, kPeer, 60)));
        return read(kRdh) == 2;
    }());
}

TEST_F(I82540emTest, FiltersAndStripsTags) {
    begin_receive(kRctlEn | kRctlVfe | kRctlSecrc);
    auto frame = make_frame(kMac, kPeer, 100);
    const std::array tag{std::byte{0x81}, std::byte{0x00}, std::byte{0x20}, std::byte{0x21}};
    auto tagged = frame;
    tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
    EXPECT_TRUE(receive(tagged));
    EXPECT_EQ(read(kRdh), 0u);  // VLAN 0x21 is not ours
    write(kVfta + 4, 2);
    ASSERT_TRUE(receive(tagged));
    EXPECT_EQ(received(0).length, 104);
    write(kCtrl, kCtrlVme | kCtrlSlu);
    ASSERT_TRUE(receive(tagged));
    EXPECT_EQ(received(1).length, 100);
    EXPECT_EQ(received(1).special, 0x2021);
    EXPECT_NE(received(1).status & kRxVp, 0);
    EXPECT_EQ(bytes_at(kRxData + 2048, 100), frame);
}

TEST_F(I82540emTest, JudgesChecksums) {
    begin_receive();
    write(kRxcsum, kRxcsumIpofl | kRxcsumTuofl);
    auto packet = packet_of(101);
    packet.destination = kMac;
    auto frame = make_tcp4(packet);
    ASSERT_TRUE(receive(frame));
    EXPECT_EQ(received(0).status, kRxDd | kRxEop | kRxTcpcs | kRxIpcs);
    EXPECT_EQ(received(0).errors, 0);
    frame[70] ^= std::byte{1};
    ASSERT_TRUE(receive(frame));
    EXPECT_EQ(received(1).errors, kRxErrorTcp);
    frame[70] ^= std::byte{1};
    frame[22] ^= std::byte{1};
    ASSERT_TRUE(receive(frame));
    EXPECT_EQ(received(2).errors, kRxErrorIp);
    ASSERT_TRUE(receive(frame, true));  // the backend vouches for it
    EXPECT_EQ(received(3).errors, 0);
    auto arp = make_arp_request(kPeer, 1, 2);
    ASSERT_TRUE(receive(arp));
    EXPECT_EQ(received(4).status, kRxDd | kRxEop | kRxIxsm);
}

TEST_F(I82540emTest, SumsThePacketFromWhereItIsTold) {
    begin_receive();
    write(kRxcsum, 14);
    const auto frame = make_frame(kMac, kPeer, 61);
    ASSERT_TRUE(receive(frame));
    uint32_t sum = 0;
    for (size_t i = 14; i < frame.size(); ++i) {
        sum += static_cast<uint32_t>(frame[i]) << (i % 2 == 0 ? 0 : 8);
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    EXPECT_EQ(received(0).checksum, sum);
}

TEST_F(I82540emTest, SurvivesRingsThatAreNowhere) {
    begin_receive();
    begin_transmit();
    write(kRdbah, 0xffffffff);
    EXPECT_TRUE(receive(make_frame(kMac, kPeer, 60)));
    write(kTdbah, 0xffffffff);
    next_tx_ = 5;
    EXPECT_TRUE(fetch().empty());
    EXPECT_EQ(read(kTdh), 5u);
    write(kTdlen, 0);
    next_tx_ = 7;
    EXPECT_TRUE(fetch().empty());
}

}  // namespace
}  // namespace mynah
