#include "backend/network/network_watch.h"

#include <gtest/gtest.h>

#include "backend/network/ethernet.h"
#include "testing/recording_network_sink.h"
#include "testing/scripted_network_backend.h"

namespace mynah {
namespace {

using namespace ethernet;

constexpr size_t kUdpAt = kHeaderSize + kIpv4MinHeader, kBootpAt = kUdpAt + kUdpHeader;
constexpr size_t kCookieAt = kBootpAt + 236, kOptionsAt = kCookieAt + 4;

// Frames of at least `size` bytes [RFC 2131 2, 4.1].
std::vector<std::byte> dhcp(uint8_t kind, bool from_guest, size_t size = 300) {
    std::vector<std::byte> frame(std::max(size, kOptionsAt + 8));
    store16(frame, kType, kTypeIpv4);
    frame[kHeaderSize] = std::byte{0x45};
    frame[kHeaderSize + kIpv4Protocol] = std::byte{kProtocolUdp};
    store16(frame, kUdpAt, from_guest ? 68 : 67);
    store16(frame, kUdpAt + 2, from_guest ? 67 : 68);
    store32(frame, kCookieAt, 0x63825363);
    const uint8_t options[]{0, 12, 1, 'x', 53, 1, kind, 255};  // a pad, a host name, the kind
    for (size_t i = 0; i < sizeof(options); ++i) frame[kOptionsAt + i] = std::byte{options[i]};
    return frame;
}

std::vector<std::byte> arp(uint16_t operation) {
    std::vector<std::byte> frame(60);
    store16(frame, kType, kTypeArp);
    store16(frame, kHeaderSize + 6, operation);
    return frame;
}

class NetworkWatchTest : public ::testing::Test {
  protected:
    NetworkWatchTest() { watch_.set_sink(&sink_); }
    // In pieces of this many bytes, as a driver may lay it out.
    size_t send(std::vector<std::byte> bytes, size_t piece = 11) {
        std::vector<Slice> pieces;
        for (size_t at = 0; at < bytes.size(); at += piece)
            pieces.push_back(Slice(bytes).subspan(at, std::min(piece, bytes.size() - at)));
        const NetworkFrame frame{pieces, bytes.size(), {}};
        return watch_.transmit(std::span(&frame, 1));
    }
    NetworkCounts::Values counts() const { return counts_.values(); }

    NetworkCounts counts_;
    testing::RecordingNetworkSink sink_;
    testing::ScriptedNetworkBackend* inner_ = new testing::ScriptedNetworkBackend;
    NetworkWatch watch_{std::unique_ptr<NetworkBackend>(inner_), counts_};
};

TEST_F(NetworkWatchTest, CountsAndPassesOn) {
    EXPECT_EQ(send(dhcp(1, true)), 1u);
    EXPECT_EQ(send(dhcp(3, true), 1000), 1u);
    EXPECT_TRUE(inner_->deliver(dhcp(2, false)));
    EXPECT_TRUE(inner_->deliver(dhcp(5, false)));
    EXPECT_TRUE(inner_->deliver(dhcp(6, false)));
    EXPECT_EQ(inner_->take_sent().size(), 2u);
    EXPECT_EQ(sink_.received(), 3u);
    const auto found = counts();
    EXPECT_EQ(found.sent, 2u);
    EXPECT_EQ(found.received, 3u);
    EXPECT_EQ(found.discovers, 1u);
    EXPECT_EQ(found.requests, 1u);
    EXPECT_EQ(found.offers, 1u);
    EXPECT_EQ(found.acks, 1u);
    EXPECT_EQ(found.naks, 1u);
}

TEST_F(NetworkWatchTest, WhatWasNotTakenDoesNotCount) {
    inner_->set_room(0);
    EXPECT_EQ(send(dhcp(1, true)), 0u);
    sink_.set_room(0);
    EXPECT_FALSE(inner_->deliver(dhcp(2, false)));
    EXPECT_EQ(counts().sent + counts().received + counts().discovers + counts().offers, 0u);
}

TEST_F(NetworkWatchTest, AnswersOfTheGuestAreNone) {
    send(dhcp(5, false));
    inner_->deliver(dhcp(1, true));
    EXPECT_EQ(counts().acks + counts().discovers, 0u);
}

TEST_F(NetworkWatchTest, Arp) {
    send(arp(1));
    inner_->deliver(arp(1));
    inner_->deliver(arp(2));
    EXPECT_EQ(counts().arp_questions, 1u);
    EXPECT_EQ(counts().arp_answers, 1u);
}

TEST_F(NetworkWatchTest, FramesThatEndTooSoon) {
    const auto whole = dhcp(1, true);
    for (size_t size = 0; size <= kOptionsAt + 6; ++size)  // all before the kind
        send({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    EXPECT_EQ(counts().discovers, 0u);
    auto odd = whole;
    odd[kHeaderSize] = std::byte{0x4f};  // a header longer than it is
    send(odd);
    odd = whole;
    odd[kHeaderSize + kIpv4Fragment + 1] = std::byte{1};  // the end of something
    send(odd);
    odd = whole;
    odd[kOptionsAt + 2] = std::byte{255};  // an option beyond the end
    send(odd);
    EXPECT_EQ(counts().discovers, 0u);
}

TEST_F(NetworkWatchTest, Link) {
    EXPECT_EQ(counts().link, NetworkCounts::kUp);
    inner_->set_link(false);
    EXPECT_EQ(counts().link, NetworkCounts::kDown);
    EXPECT_EQ(counts().link_losses, 1u);
    inner_->set_link(true);
    EXPECT_EQ(counts().link, NetworkCounts::kUp);
    EXPECT_TRUE(sink_.wait_link(true));
}

}  // namespace
}  // namespace mynah
