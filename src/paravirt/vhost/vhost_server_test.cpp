#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "paravirt/vhost/vhost_server_fuzz.h"
#include "spec/virtio/device.h"

namespace mynah {
namespace {

using vhost_user::Request;

// A front end that plays by the rules, over a socket pair.
class VhostServer : public ::testing::Test {
  protected:
    VhostServer() {
        int pair[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ours_ = Fd(pair[0]);
        server_ = std::make_unique<VhostUserServer>(back_end_, Fd(pair[1]));
        back_end_.connect(server_.get());
        EXPECT_EQ(ftruncate(memory_.get(), 1 << 20), 0);
    }

    template <typename T>
    Result<void> tell(Request request, const T& payload, std::vector<int> fds = {}) {
        VhostUserMessage message;
        message.request = static_cast<uint32_t>(request);
        message.size = sizeof payload;
        std::memcpy(message.payload.data(), &payload, sizeof payload);
        for (const int fd : fds) message.fds.emplace_back(dup(fd));
        return server_->handle(message);
    }
    Result<void> share(uint64_t size, uint64_t offset) {
        struct {
            uint32_t count = 1, padding = 0;
            vhost_user::MemoryRegion region;
        } table;
        table.region = {0, size, kUser, offset};
        return tell(Request::kSetMemTable, table, {memory_.get()});
    }
    Result<void> start_ring(uint64_t at) {
        TRY(tell(Request::kSetVringNum, vhost_user::VringState{0, 8}));
        TRY(tell(Request::kSetVringAddr,
                 vhost_user::VringAddress{0, 0, at, at + 0x400, at + 0x200, 0}));
        TRY(tell(Request::kSetVringCall, uint64_t{0}, {call_.fd()}));
        return tell(Request::kSetVringKick, uint64_t{0}, {kick_.fd()});
    }

    static constexpr uint64_t kUser = 0x7000'0000'0000;
    testing::MemoryDisk disk_{64 * 1024};
    VirtioBlock device_{disk_, {.queues = 2, .id = "test"}};
    VhostBackEnd back_end_{device_,
                           {.features = device_.features(),
                            .queues = 2,
                            .protocol = vhost_user::kProtocolConfig}};
    Fd ours_;
    Fd memory_{memfd_create("test", MFD_CLOEXEC)};
    EventFd kick_, call_;
    std::unique_ptr<VhostUserServer> server_;
};

TEST_F(VhostServer, ARingThatIsRungIsServed) {
    ASSERT_TRUE(tell(Request::kSetFeatures, virtio::kFeatureVersion1).ok());
    ASSERT_TRUE(share(1 << 20, 0).ok());
    ASSERT_TRUE(start_ring(kUser).ok());
    // Reads one sector to 2000h.
    auto* const base = static_cast<std::byte*>(
        mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0));
    const virtio::Descriptor descriptors[] = {{0x1000, 16, virtio::kDescNext, 1},
                                              {0x2000, 512, 3, 2},
                                              {0x3000, 1, virtio::kDescWrite, 0}};
    std::memcpy(base, descriptors, sizeof descriptors);
    base[0x3000] = std::byte{0xff};
    base[0x200 + virtio::kAvailIdx] = std::byte{1};
    back_end_.bell(0);
    EXPECT_EQ(base[0x3000], std::byte{0});
    EXPECT_EQ(base[0x400 + virtio::kUsedIdx], std::byte{1});
    EXPECT_TRUE(call_.drain());
    // Stopped, it says where it was.
    ASSERT_TRUE(tell(Request::kGetVringBase, vhost_user::VringState{0, 0}).ok());
    VhostUserMessage answer;
    ASSERT_TRUE(receive_vhost_user(ours_.get(), answer, 1000).ok());
    EXPECT_EQ(answer.as<vhost_user::VringState>()->value, 1u);
    munmap(base, 1 << 20);
}

TEST_F(VhostServer, WhatAFrontEndSaysIsChecked) {
    EXPECT_FALSE(tell(Request::kSetFeatures, uint64_t{1} << 63).ok());
    EXPECT_FALSE(share(2 << 20, 0).ok());             // beyond the end of the file
    EXPECT_FALSE(share(1 << 20, 4096).ok());          // likewise
    EXPECT_FALSE(share(~uint64_t{0} << 12, 0).ok());  // wraps around
    EXPECT_FALSE(share(100, 0).ok());                 // no whole pages
    EXPECT_FALSE(share(0, 0).ok());
    EXPECT_FALSE(tell(Request::kSetVringNum, vhost_user::VringState{2, 8}).ok());
    EXPECT_FALSE(tell(Request::kSetVringNum, vhost_user::VringState{0, 7}).ok());
    EXPECT_FALSE(tell(Request::kSetVringNum, vhost_user::VringState{0, 1u << 31}).ok());
    EXPECT_FALSE(tell(Request::kSetVringKick, uint64_t{0}).ok());  // without a descriptor
    EXPECT_FALSE(tell(Request::kSetVringKick, uint64_t{255}, {kick_.fd()}).ok());
    EXPECT_FALSE(tell(static_cast<Request>(99), uint64_t{0}).ok());
    struct {
        uint32_t count = 1000, padding = 0;
    } table;
    EXPECT_FALSE(tell(Request::kSetMemTable, table, {memory_.get()}).ok());
    ASSERT_TRUE(share(1 << 20, 0).ok());
    EXPECT_FALSE(start_ring(kUser + (1 << 20)).ok());  // not in the memory
    EXPECT_FALSE(start_ring(kUser + (1 << 20) - 64).ok());
    EXPECT_FALSE(start_ring(kUser + 1).ok());  // misaligned
    ASSERT_TRUE(start_ring(kUser).ok());
}

TEST(VhostServerFuzz, SurvivesRandomMessages) {
    constexpr uint8_t kRequests[] = {1, 2, 5, 8, 9, 10, 11, 12, 13, 18, 24, 25, 31, 32, 34};
    std::mt19937 random(7);
    for (unsigned run = 0; run < 300; ++run) {
        std::vector<uint8_t> input(2000);
        for (auto& byte : input) byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : 0);
        for (size_t at = 0; at + 40 < input.size(); at += 5 + 40) {
            input[at] = kRequests[random() % std::size(kRequests)];
            input[at + 2] = random() % 2 == 0 ? 8 : 40;
            input[at + 3] = 0;
            input[at + 4] = static_cast<uint8_t>(random() & 9);
        }
        fuzz_vhost_server(input);
    }
}

}  // namespace
}  // namespace mynah
