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
    // A slot of the same file, by the request that adds or removes it.
    Result<void> slot(Request request, uint64_t guest, uint64_t size, uint64_t offset) {
        const vhost_user::SingleRegion region{0, {guest, size, kUser + guest, offset}};
        return tell(request, region, {memory_.get()});
    }
    // The value that was answered last.
    uint64_t answer() {
        VhostUserMessage message;
        EXPECT_TRUE(receive_vhost_user(ours_.get(), message, 1000).ok());
        return message.as<uint64_t>().value_or(~uint64_t{0});
    }
    // Has the disk's first sector read to 2000h; the ring's parts lie below 1000h.
    void read_a_sector() {
        const virtio::Descriptor descriptors[] = {{0x1000, 16, virtio::kDescNext, 1},
                                                  {0x2000, 512, 3, 2},
                                                  {0x3000, 1, virtio::kDescWrite, 0}};
        (void)!pwrite(memory_.get(), descriptors, sizeof descriptors, 0);
        const auto index = static_cast<uint16_t>(++requests_);
        (void)!pwrite(memory_.get(), &index, sizeof index, 0x200 + virtio::kAvailIdx);
        back_end_.bell(0);
    }
    uint16_t used_index() {
        uint16_t index = 0;
        (void)!pread(memory_.get(), &index, sizeof index, 0x400 + virtio::kUsedIdx);
        return index;
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
                            .protocol = vhost_user::kProtocolConfig |
                                        vhost_user::kProtocolStatus}};
    Fd ours_;
    Fd memory_{memfd_create("test", MFD_CLOEXEC)};
    EventFd kick_, call_;
    unsigned requests_ = 0;
    std::unique_ptr<VhostUserServer> server_;
};

TEST_F(VhostServer, ARingThatIsRungIsServed) {
    ASSERT_TRUE(tell(Request::kSetFeatures, virtio::kFeatureVersion1).ok());
    ASSERT_TRUE(share(1 << 20, 0).ok());
    ASSERT_TRUE(start_ring(kUser).ok());
    char status = -1;
    ASSERT_EQ(pwrite(memory_.get(), &status, 1, 0x3000), 1);
    read_a_sector();
    ASSERT_EQ(pread(memory_.get(), &status, 1, 0x3000), 1);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(used_index(), 1u);
    EXPECT_TRUE(call_.drain());
    // Stopped, it says where it was.
    ASSERT_TRUE(tell(Request::kGetVringBase, vhost_user::VringState{0, 0}).ok());
    VhostUserMessage answer;
    ASSERT_TRUE(receive_vhost_user(ours_.get(), answer, 1000).ok());
    EXPECT_EQ(answer.as<vhost_user::VringState>()->value, 1u);
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

TEST_F(VhostServer, WhatIsWrittenIsLogged) {
    constexpr uint64_t kFeatures = virtio::kFeatureVersion1;
    ASSERT_TRUE(tell(Request::kSetProtocolFeatures, vhost_user::kProtocolLogShmfd).ok());
    ASSERT_TRUE(tell(Request::kSetFeatures, kFeatures).ok());
    ASSERT_TRUE(share(1 << 20, 0).ok());
    ASSERT_TRUE(start_ring(kUser).ok());
    const auto log = VhostLog::create(1 << 20).take_value();
    ASSERT_TRUE(tell(Request::kSetLogBase, log->area(), {log->fd()}).ok());
    EXPECT_EQ(answer(), 0u);
    std::vector<uint64_t> pages;
    const auto collect = [&] {
        pages.clear();
        log->collect([&](GuestPhys page) { pages.push_back(page.value); });
        return pages;
    };
    read_a_sector();
    EXPECT_EQ(collect(), std::vector<uint64_t>{});  // nobody asked for it
    // The ring runs on when it is asked for.
    ASSERT_TRUE(tell(Request::kSetFeatures, kFeatures | vhost_user::kFeatureLogAll).ok());
    ASSERT_TRUE(tell(Request::kSetVringAddr,
                     vhost_user::VringAddress{0, vhost_user::kVringLog, kUser, kUser + 0x400,
                                              kUser + 0x200, 0x400})
                    .ok());
    read_a_sector();
    EXPECT_EQ(used_index(), 2u);
    EXPECT_EQ(collect(), (std::vector<uint64_t>{0, 0x2000, 0x3000}));
    EXPECT_EQ(collect(), std::vector<uint64_t>{});
    // In new memory as well, and in a log that is smaller than the memory.
    ASSERT_TRUE(share(1 << 20, 0).ok());
    const auto small = VhostLog::create(0x1000).take_value();
    vhost_user::LogArea area = small->area();
    area.size = 1;
    area.offset = 8;
    ASSERT_TRUE(tell(Request::kSetLogBase, area, {small->fd()}).ok());
    EXPECT_EQ(answer(), 0u);
    read_a_sector();
    EXPECT_EQ(collect(), std::vector<uint64_t>{});
    small->collect([&](GuestPhys page) { pages.push_back(page.value - 64 * 0x1000); });
    EXPECT_EQ(pages, (std::vector<uint64_t>{0, 0x2000, 0x3000}));
    ASSERT_TRUE(tell(Request::kSetFeatures, kFeatures).ok());
    read_a_sector();
    small->collect([](GuestPhys) { ADD_FAILURE() << "logged when nobody asked any more"; });
    // One that is not there.
    area.offset = 4096;
    area.size = 4096;
    EXPECT_FALSE(tell(Request::kSetLogBase, area, {small->fd()}).ok());
    area.offset = ~uint64_t{0};
    EXPECT_FALSE(tell(Request::kSetLogBase, area, {small->fd()}).ok());
    EXPECT_FALSE(tell(Request::kSetLogBase, small->area()).ok());
}

TEST_F(VhostServer, MemoryComesAndGoesInSlots) {
    ASSERT_TRUE(tell(Request::kGetMaxMemSlots, uint64_t{0}).ok());
    const uint64_t most = answer();
    EXPECT_GE(most, 32u);
    EXPECT_FALSE(slot(Request::kAddMemReg, 0, 1 << 16, 0).ok());  // was not agreed on
    ASSERT_TRUE(
        tell(Request::kSetProtocolFeatures, vhost_user::kProtocolConfigureMemSlots).ok());
    ASSERT_TRUE(tell(Request::kSetFeatures, virtio::kFeatureVersion1).ok());
    ASSERT_TRUE(slot(Request::kAddMemReg, 0, 1 << 16, 0).ok());
    EXPECT_FALSE(slot(Request::kAddMemReg, 0x8000, 1 << 16, 0).ok());  // overlaps
    ASSERT_TRUE(slot(Request::kAddMemReg, 1 << 20, 1 << 16, 1 << 16).ok());
    ASSERT_TRUE(start_ring(kUser).ok());
    read_a_sector();
    EXPECT_EQ(used_index(), 1u);
    EXPECT_FALSE(slot(Request::kRemMemReg, 0, 1 << 15, 0).ok());  // none like that
    ASSERT_TRUE(slot(Request::kRemMemReg, 1 << 20, 1 << 16, 1 << 16).ok());
    read_a_sector();
    EXPECT_EQ(used_index(), 2u);
    // The ring stands still while its memory is away.
    ASSERT_TRUE(slot(Request::kAddMemReg, 1 << 20, 1 << 16, 1 << 16).ok());
    ASSERT_TRUE(slot(Request::kRemMemReg, 0, 1 << 16, 0).ok());
    read_a_sector();
    EXPECT_EQ(used_index(), 2u);
    ASSERT_TRUE(slot(Request::kAddMemReg, 0, 1 << 16, 0).ok());
    EXPECT_EQ(used_index(), 3u);
    for (uint64_t i = 0; i < most - 2; ++i)
        ASSERT_TRUE(slot(Request::kAddMemReg, (32 + i) << 20, 4096, 0).ok());
    EXPECT_FALSE(slot(Request::kAddMemReg, 1 << 30, 4096, 0).ok());
}

TEST_F(VhostServer, AStatusOfZeroResetsTheDevice) {
    EXPECT_FALSE(tell(Request::kSetStatus, uint64_t{15}).ok());  // was not agreed on
    ASSERT_TRUE(tell(Request::kSetProtocolFeatures, vhost_user::kProtocolStatus).ok());
    ASSERT_TRUE(tell(Request::kSetFeatures, virtio::kFeatureVersion1).ok());
    ASSERT_TRUE(share(1 << 20, 0).ok());
    ASSERT_TRUE(start_ring(kUser).ok());
    ASSERT_TRUE(tell(Request::kSetStatus, uint64_t{15}).ok());
    ASSERT_TRUE(tell(Request::kGetStatus, uint64_t{0}).ok());
    EXPECT_EQ(answer(), 15u);
    read_a_sector();
    EXPECT_EQ(used_index(), 1u);
    ASSERT_TRUE(tell(Request::kSetStatus, uint64_t{0}).ok());
    read_a_sector();
    EXPECT_EQ(used_index(), 1u);
    EXPECT_FALSE(tell(Request::kSetStatus, uint64_t{256}).ok());
}

TEST(VhostServerFuzz, SurvivesRandomMessages) {
    constexpr uint8_t kRequests[] = {1,  2,  5,  6,  8,  9,  10, 11, 12, 13, 16, 18,
                                     24, 25, 31, 32, 34, 36, 37, 38, 39, 40};
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
