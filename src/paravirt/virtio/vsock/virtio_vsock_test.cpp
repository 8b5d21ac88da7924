#include "paravirt/virtio/vsock/virtio_vsock.h"

#include <gtest/gtest.h>

#include "paravirt/virtio/vsock/vsock_driver_test.h"

namespace mynah {
namespace {

using namespace virtio::vsock;
using testing::ScriptedVsock;
using testing::VsockGuest;

class VirtioVsockTest : public ::testing::Test {
  protected:
    void expect(uint16_t operation, uint32_t guest_port, uint32_t host_port) {
        const auto packet = guest_.received();
        ASSERT_TRUE(packet);
        const Header& header = packet->header;
        EXPECT_EQ(uint16_t{header.operation}, operation);
        EXPECT_EQ(uint32_t{header.destination_port}, guest_port);
        EXPECT_EQ(uint32_t{header.source_port}, host_port);
        EXPECT_EQ(uint64_t{header.source_cid}, kHostCid);
        EXPECT_EQ(uint64_t{header.destination_cid}, VsockGuest::kCid);
    }
    // The guest's port 1000 connected with the host's 80.
    ScriptedVsock::Peer& connect() {
        guest_.offer(16);
        guest_.send(VsockGuest::header(kRequest, 1000, 80));
        expect(kResponse, 1000, 80);
        return guest_.backend_.peers[1];
    }
    Header data_header() { return VsockGuest::header(kData, 1000, 80); }

    VsockGuest guest_;
};

TEST_F(VirtioVsockTest, TheGuestConnectsAndBytesGoBothWays) {
    EXPECT_EQ(guest_.driver_.read(8), 19u);
    EXPECT_EQ(guest_.driver_.config<uint64_t>(0), VsockGuest::kCid);
    auto& peer = connect();
    guest_.send(data_header(), "hello");
    EXPECT_EQ(peer.from_guest, "hello");
    peer.to_guest = "world";
    guest_.backend_.ready(1);
    const auto packet = guest_.received();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->data, "world");
    EXPECT_EQ(uint32_t{packet->header.forwarded}, 5u);
}

TEST_F(VirtioVsockTest, NobodyAtAPortIsAReset) {
    guest_.offer(4);
    guest_.send(VsockGuest::header(kRequest, 1000, 81));
    expect(kReset, 1000, 81);
    guest_.send(VsockGuest::header(kData, 1, 2), "x");
    expect(kReset, 1, 2);
    // But a reset is not answered, and neither is who speaks as another.
    guest_.send(VsockGuest::header(kReset, 1, 2));
    Header other = VsockGuest::header(kRequest, 1000, 80);
    other.source_cid = 8;
    guest_.send(other);
    EXPECT_FALSE(guest_.received());
}

TEST_F(VirtioVsockTest, TheHostConnects) {
    guest_.offer(4);
    guest_.backend_.ask(22);
    const auto asked = guest_.received();
    ASSERT_TRUE(asked);
    EXPECT_EQ(uint16_t{asked->header.operation}, kRequest);
    EXPECT_EQ(uint32_t{asked->header.destination_port}, 22u);
    const uint32_t port = asked->header.source_port;
    auto& peer = guest_.backend_.peers[1];
    peer.to_guest = "early";
    guest_.backend_.ready(1);
    EXPECT_FALSE(guest_.received());
    guest_.send(VsockGuest::header(kResponse, 22, port));
    EXPECT_EQ(peer.accepted, port);
    const auto data = guest_.received();
    ASSERT_TRUE(data);
    EXPECT_EQ(data->data, "early");
}

TEST_F(VirtioVsockTest, TheGuestsRoomIsKeptTo) {
    auto& peer = connect();
    Header update = VsockGuest::header(kCreditUpdate, 1000, 80);
    update.buffer_size = 10;
    guest_.send(update);
    peer.to_guest = "0123456789abcde";
    guest_.backend_.ready(1);
    EXPECT_EQ(guest_.received()->data, "0123456789");
    EXPECT_FALSE(guest_.received());
    update.forwarded = 4;
    guest_.send(update);
    EXPECT_EQ(guest_.received()->data, "abcd");
    // Nonsense is no room at all.
    update.forwarded = 1000;
    guest_.send(update);
    EXPECT_FALSE(guest_.received());
}

TEST_F(VirtioVsockTest, WhatTheHostDoesNotTakeWaitsAndIsNotCounted) {
    auto& peer = connect();
    peer.room = 3;
    guest_.send(data_header(), "abcdef");
    guest_.send(data_header(), "ghi");
    EXPECT_EQ(peer.from_guest, "abc");
    guest_.send(VsockGuest::header(kCreditRequest, 1000, 80));
    EXPECT_EQ(uint32_t{guest_.received()->header.forwarded}, 3u);
    peer.room = 100;
    guest_.backend_.ready(1);
    EXPECT_EQ(peer.from_guest, "abcdefghi");
    guest_.send(VsockGuest::header(kCreditRequest, 1000, 80));
    EXPECT_EQ(uint32_t{guest_.received()->header.forwarded}, 9u);
}

TEST_F(VirtioVsockTest, AGuestThatSendsMoreThanItMayLosesTheConnection) {
    auto& peer = connect();
    peer.room = 0;
    const std::string block(64 * 1024, 'x');
    for (int i = 0; i < 4; ++i) guest_.send(data_header(), block);
    EXPECT_FALSE(peer.closed);
    guest_.send(data_header(), "y");
    expect(kReset, 1000, 80);
    EXPECT_TRUE(peer.closed);
}

TEST_F(VirtioVsockTest, HalfTheRoomFreeAgainIsTold) {
    connect();
    const std::string block(64 * 1024, 'x');
    guest_.send(data_header(), block);
    EXPECT_FALSE(guest_.received());
    guest_.send(data_header(), block);
    const auto packet = guest_.received();
    ASSERT_TRUE(packet);
    EXPECT_EQ(uint16_t{packet->header.operation}, kCreditUpdate);
    EXPECT_EQ(uint32_t{packet->header.forwarded}, 2u * 64 * 1024);
}

TEST_F(VirtioVsockTest, EachSideEndsByItself) {
    auto& peer = connect();
    peer.to_guest = "last";
    peer.ended = true;
    guest_.backend_.ready(1);
    EXPECT_EQ(guest_.received()->data, "last");
    const auto end = guest_.received();
    EXPECT_EQ(uint16_t{end->header.operation}, kShutdown);
    EXPECT_EQ(uint32_t{end->header.flags}, kNoSend);
    guest_.send(data_header(), "still");
    EXPECT_EQ(peer.from_guest, "still");
    Header shutdown = VsockGuest::header(kShutdown, 1000, 80);
    shutdown.flags = kNoSend;
    guest_.send(shutdown);
    EXPECT_TRUE(peer.output_ended);
    EXPECT_FALSE(peer.closed);
    shutdown.flags = kNoReceive;
    guest_.send(shutdown);
    expect(kReset, 1000, 80);
    EXPECT_TRUE(peer.closed);
}

TEST_F(VirtioVsockTest, AProgramThatIsGoneIsToldAsSuch) {
    auto& peer = connect();
    peer.ended = true;
    guest_.backend_.ready(1, true);
    const auto end = guest_.received();
    EXPECT_EQ(uint16_t{end->header.operation}, kShutdown);
    EXPECT_EQ(uint32_t{end->header.flags}, kNeither);
    guest_.send(VsockGuest::header(kReset, 1000, 80));
    EXPECT_TRUE(peer.closed);
}

TEST_F(VirtioVsockTest, AProgramThatDidNotWaitForTheGuestIsForgotten) {
    guest_.backend_.ask(22);          // the guest has no buffer to hear of it
    guest_.backend_.ready(1, true);
    EXPECT_TRUE(guest_.backend_.peers[1].closed);
    guest_.offer(2);
    guest_.backend_.ask(23);
    const auto asked = guest_.received();
    ASSERT_TRUE(asked);
    EXPECT_EQ(uint32_t{asked->header.destination_port}, 23u);
    guest_.backend_.ready(2, true);   // it was heard of, and not answered
    const auto end = guest_.received();
    ASSERT_TRUE(end);
    EXPECT_EQ(uint16_t{end->header.operation}, kReset);
    EXPECT_TRUE(guest_.backend_.peers[2].closed);
}

TEST_F(VirtioVsockTest, NothingIsLostForLackOfBuffers) {
    guest_.send(VsockGuest::header(kRequest, 1000, 80));
    guest_.backend_.peers[1].to_guest = std::string(10'000, 'z');
    guest_.backend_.ready(1);
    guest_.offer(1, 16);  // too small for anything
    guest_.offer(1);
    EXPECT_EQ(guest_.queues_[0].take_used()->length, 0u);
    expect(kResponse, 1000, 80);
    std::string got;
    for (int i = 0; i < 5; ++i) {
        guest_.offer(1);
        if (const auto packet = guest_.received()) got += packet->data;
    }
    EXPECT_EQ(got, std::string(10'000, 'z'));
}

TEST_F(VirtioVsockTest, AResetOfTheDeviceClosesAll) {
    auto& peer = connect();
    guest_.driver_.write(0x70, 0);
    EXPECT_TRUE(peer.closed);
    guest_.backend_.ready(1);
    guest_.backend_.ask(5);
    EXPECT_TRUE(guest_.backend_.peers[2].closed);
}

TEST_F(VirtioVsockTest, ConnectionsAreBounded) {
    for (uint32_t port = 0; port < 1100; ++port) {
        guest_.send(VsockGuest::header(kRequest, port, 80));
    }
    EXPECT_EQ(guest_.backend_.peers.size(), VirtioVsock::kMaxConnections);
}

}  // namespace
}  // namespace mynah
