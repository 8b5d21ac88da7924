#include "backend/network/segmentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"
#include "testing/packet_builder.h"

namespace mynah {
namespace {

using namespace ethernet;
using namespace testing;
using Segmentation = FrameOffload::Segmentation;

constexpr MacAddress kGuestMac{{0x52, 0x54, 0, 1, 2, 3}}, kPeerMac{{0x52, 0x54, 0, 4, 5, 6}};

TcpPacket packet_of(size_t payload) {
    TcpPacket packet{kGuestMac, kPeerMac,   0x0a00020f, 0x0a000202, 4000,
                     80,        0xfffffff0, 77,         0x98,       {}};
    for (size_t i = 0; i < payload; ++i) {
        packet.payload.push_back(static_cast<std::byte>(i * 31 + (i >> 8)));
    }
    return packet;
}

TEST(InternetSumTest, IsTheOneOfTheRfc) {
    // The example of [RFC 1071 3].
    const std::array<std::byte, 8> bytes{std::byte{0x00}, std::byte{0x01}, std::byte{0xf2},
                                         std::byte{0x03}, std::byte{0xf4}, std::byte{0xf5},
                                         std::byte{0xf6}, std::byte{0xf7}};
    InternetSum sum;
    sum.add(bytes);
    EXPECT_EQ(sum.folded(), 0xddf2);
    EXPECT_EQ(internet_checksum(bytes), 0x220d);
}

TEST(InternetSumTest, DoesNotDependOnHowTheBytesAreCut) {
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
        std::vector<std::byte> bytes(random() % 200);
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        uint64_t plain = 0;
        for (size_t i = 0; i < bytes.size(); ++i) {
            plain += uint64_t{static_cast<uint8_t>(bytes[i])} << (i % 2 == 0 ? 8 : 0);
        }
        while (plain > 0xffff) plain = (plain & 0xffff) + (plain >> 16);
        InternetSum cut;
        for (std::span<const std::byte> rest = bytes; !rest.empty();) {
            const size_t part = std::min<size_t>(rest.size(), random() % 20);
            cut.add(rest.first(part));
            rest = rest.subspan(part);
        }
        ASSERT_EQ(cut.folded(), plain);
    }
}

TEST(FindHeadersTest, FindsThemBehindTags) {
    auto frame = make_tcp4(packet_of(10));
    const auto plain = find_headers(frame);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->transport, 34u);
    EXPECT_EQ(plain->payload, 54u);
    EXPECT_EQ(plain->end, 64u);
    const std::array tag{std::byte{0x81}, std::byte{0}, std::byte{0}, std::byte{5}};
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    const auto tagged = find_headers(frame);
    ASSERT_TRUE(tagged);
    EXPECT_EQ(tagged->transport, 38u);
    EXPECT_FALSE(find_headers(make_arp_request(kGuestMac, 1, 2)));
}

TEST(FindHeadersTest, RefusesWhatContradictsItself) {
    const auto good = make_tcp4(packet_of(10));
    for (size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(find_headers(std::span(good).first(size))) << size;
    }
    const auto spoiled = [&good](size_t at, uint8_t value) {
        auto frame = good;
        frame[at] = static_cast<std::byte>(value);
        return find_headers(frame).has_value();
    };
    EXPECT_FALSE(spoiled(14, 0x44));  // header of 16 bytes
    EXPECT_FALSE(spoiled(14, 0x65));  // version 6
    EXPECT_FALSE(spoiled(17, 200));   // longer than the frame
    EXPECT_FALSE(spoiled(20, 0x20));  // a fragment
    EXPECT_FALSE(spoiled(23, 1));     // ICMP
    EXPECT_FALSE(spoiled(46, 0x40));  // TCP header of 16 bytes
    EXPECT_FALSE(spoiled(46, 0xf0));  // TCP header beyond the packet
}

struct Cut {
    std::vector<std::vector<std::byte>> frames;
};
Cut cut(std::vector<std::byte> frame, const FrameOffload& offload) {
    Cut result;
    complete_frame(frame, offload, [&](std::span<const std::byte> out) {
        result.frames.emplace_back(out.begin(), out.end());
    });
    return result;
}

void expect_segments(bool ipv6) {
    const TcpPacket packet = packet_of(4000);
    auto frame = ipv6 ? make_tcp6(packet) : make_tcp4(packet);
    make_checksum_partial(frame);
    FrameOffload offload;
    offload.needs_checksum = true;
    offload.segmentation = ipv6 ? Segmentation::kTcp6 : Segmentation::kTcp4;
    offload.segment_size = 1400;
    const Cut result = cut(frame, offload);
    ASSERT_EQ(result.frames.size(), 3u);
    std::vector<std::byte> payload;
    for (size_t i = 0; i < result.frames.size(); ++i) {
        const auto& out = result.frames[i];
        EXPECT_TRUE(checksums_good(out));
        const auto headers = find_headers(out);
        ASSERT_TRUE(headers);
        EXPECT_EQ(headers->end, out.size());
        // It wraps around in the first segment.
        EXPECT_EQ(load32(out, headers->transport + kTcpSequence),
                  static_cast<uint32_t>(0xfffffff0 + 1400 * i));
        EXPECT_EQ(static_cast<uint8_t>(out[headers->transport + kTcpFlags]), i == 0   ? 0x90
                                                                             : i == 1 ? 0x10
                                                                                      : 0x18);
        if (!ipv6) {
            EXPECT_EQ(load16(out, kHeaderSize + kIpv4Id), 0x1234 + i);
        }
        payload.insert(payload.end(), out.begin() + static_cast<long>(headers->payload), out.end());
    }
    EXPECT_EQ(payload, packet.payload);
}

TEST(CompleteFrameTest, CutsTcpOverIpv4) { expect_segments(false); }
TEST(CompleteFrameTest, CutsTcpOverIpv6) { expect_segments(true); }

TEST(CompleteFrameTest, CutsUdpIntoDatagrams) {
    const TcpPacket packet = packet_of(3000);
    auto frame = make_udp4(packet);
    make_checksum_partial(frame);
    FrameOffload offload;
    offload.needs_checksum = true;
    offload.segmentation = Segmentation::kUdp;
    offload.segment_size = 1200;
    const Cut result = cut(frame, offload);
    ASSERT_EQ(result.frames.size(), 3u);
    std::vector<std::byte> payload;
    for (const auto& out : result.frames) {
        EXPECT_TRUE(checksums_good(out));
        const auto headers = find_headers(out);
        ASSERT_TRUE(headers);
        EXPECT_EQ(headers->end, out.size());
        EXPECT_EQ(load16(out, headers->transport + kUdpLength), out.size() - headers->transport);
        payload.insert(payload.end(), out.begin() + static_cast<long>(headers->payload), out.end());
    }
    EXPECT_EQ(payload, packet.payload);
    // TCP is not cut because somebody says that it is UDP, nor the other way round.
    auto tcp = make_tcp4(packet);
    EXPECT_EQ(cut(tcp, offload).frames.size(), 1u);
    offload.segmentation = Segmentation::kTcp4;
    EXPECT_EQ(cut(frame, offload).frames.size(), 1u);
}

TEST(CompleteFrameTest, CompletesChecksumsOnly) {
    auto frame = make_udp4(packet_of(33));
    make_checksum_partial(frame);
    EXPECT_FALSE(checksums_good(frame));
    const Cut result =
        cut(frame, {.needs_checksum = true, .checksum_start = 34, .checksum_offset = 6});
    ASSERT_EQ(result.frames.size(), 1u);
    EXPECT_TRUE(checksums_good(result.frames[0]));
}

TEST(CompleteFrameTest, LeavesAloneWhatMakesNoSense) {
    const auto frame = make_frame(kPeerMac, kGuestMac, 100);
    FrameOffload offload{.needs_checksum = true, .checksum_start = 99, .checksum_offset = 0};
    EXPECT_THAT(cut(frame, offload).frames, ::testing::ElementsAre(frame));
    offload.checksum_start = 0xffff;
    offload.checksum_offset = 0xffff;
    EXPECT_THAT(cut(frame, offload).frames, ::testing::ElementsAre(frame));
    offload.segmentation = Segmentation::kTcp4;
    offload.segment_size = 1;
    EXPECT_THAT(cut(frame, offload).frames, ::testing::ElementsAre(frame));
}

TEST(MacAddressTest, ReadsAndWrites) {
    const auto good = MacAddress::parse("52:54:00:AB:cd:ef");
    ASSERT_TRUE(good.ok());
    EXPECT_EQ(good.value().text(), "52:54:00:ab:cd:ef");
    for (const char* bad :
         {"", "52:54:00:ab:cd", "52:54:00:ab:cd:eg", "52:54:00:ab:cd:e-", "01:00:5e:00:00:01",
          "00:00:00:00:00:00", "52 54 00 ab cd ef", "52:54:00:ab:cd:ef:00"}) {
        EXPECT_FALSE(MacAddress::parse(bad).ok()) << bad;
    }
}

TEST(MacAddressTest, IsTheSameForTheSameCard) {
    EXPECT_EQ(MacAddress::for_card("vm", 0), MacAddress::for_card("vm", 0));
    EXPECT_NE(MacAddress::for_card("vm", 0), MacAddress::for_card("vm", 1));
    EXPECT_NE(MacAddress::for_card("vm", 0), MacAddress::for_card("vn", 0));
    EXPECT_FALSE(MacAddress::for_card("vm", 0).is_group());
}

}  // namespace
}  // namespace mynah
