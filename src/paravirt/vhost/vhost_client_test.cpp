#include "backend/vhost/vhost_user_client.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "paravirt/vhost/vhost_back_end.h"
#include "paravirt/vhost/vhost_client_fuzz.h"
#include "paravirt/virtio/virtio_block.h"
#include "spec/virtio/device.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

// Our front end's side of a connection, and our back end's in a thread of its own.
class VhostClient : public ::testing::Test {
  protected:
    VhostClient() {
        int pair[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        server_ = std::make_unique<VhostUserServer>(back_end_, Fd(pair[1]));
        back_end_.connect(server_.get());
        thread_ = std::thread([this] { EXPECT_TRUE(server_->run(stop_).ok()); });
        client_ = VhostUserClient::adopt(Fd(pair[0]), vhost_user::kProtocolMq |
                                                          vhost_user::kProtocolConfig |
                                                          vhost_user::kProtocolResetDevice)
                      .take_value();
    }
    ~VhostClient() override {
        client_.reset();
        stop_.signal();
        thread_.join();
        back_end_.connect(nullptr);
    }
    // The disk's first sector to 3000h; false: the back end does not answer.
    bool read_a_sector() {
        (void)ring_.add(std::vector<DriverRing::Piece>{
            {0x2000, 16, false}, {0x3000, 512, true}, {0x4000, 1, true}});
        kick_.signal();
        pollfd waiting{call_.fd(), POLLIN, 0};
        constexpr int kPatienceMs = 10000;
        return poll(&waiting, 1, kPatienceMs) == 1 && call_.drain() && ring_.take_used();
    }
    Result<void> start() {
        TRY(client_->start_ring(0, {8, 0, ring_.descriptors(), ring_.available(), ring_.used(),
                                    kick_.fd(), call_.fd()}));
        return client_->enable_ring(0, true);
    }

    static constexpr uint64_t kSize = 1 << 16, kRings = 1 << 20;
    testing::MemoryDisk disk_{64 * 1024};
    VirtioBlock device_{disk_, {.queues = 2, .id = "test"}};
    VhostBackEnd back_end_{device_,
                           {.features = device_.features(),
                            .queues = 2,
                            .protocol = vhost_user::kProtocolConfig | vhost_user::kProtocolStatus}};
    EventFd stop_, kick_, call_;
    std::unique_ptr<VhostUserServer> server_;
    std::thread thread_;
    std::unique_ptr<VhostUserClient> client_;
    std::unique_ptr<SharedMemory> memory_ = SharedMemory::create("test", kSize).take_value();
    std::unique_ptr<SharedMemory> rings_ =
        SharedMemory::create("rings", DriverRing::memory_size(8)).take_value();
    DriverRing ring_{rings_->bytes(), kRings, 8};
    const std::array<VhostRegion, 2> regions_{
        VhostRegion{memory_->fd(), 0, 0, memory_->bytes().data(), kSize},
        VhostRegion{rings_->fd(), 0, kRings, rings_->bytes().data(), rings_->bytes().size()}};
};

TEST_F(VhostClient, BothSidesAgree) {
    EXPECT_TRUE(client_->has(vhost_user::kProtocolConfigureMemSlots));
    EXPECT_EQ(client_->queue_limit(), 2u);
    constexpr uint64_t kBits = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;
    ring_.restart(true);
    ASSERT_TRUE(client_->set_features(kBits).ok());
    ASSERT_TRUE(client_->set_status(11).ok());
    EXPECT_EQ(client_->get_status().value(), 11u);
    ASSERT_TRUE(client_->set_memory(regions_).ok());
    ASSERT_TRUE(client_->set_memory(regions_).ok());  // is there already
    ASSERT_TRUE(start().ok());
    EXPECT_TRUE(read_a_sector());

    // What it writes is logged while it is asked for, and the ring goes on.
    const auto log = VhostLog::create(kRings + rings_->bytes().size()).take_value();
    ASSERT_TRUE(client_->set_log(*log).ok());
    ASSERT_TRUE(client_->set_features(kBits | vhost_user::kFeatureLogAll).ok());
    EXPECT_TRUE(read_a_sector());
    std::vector<uint64_t> pages;
    log->collect([&](GuestPhys page) { pages.push_back(page.value); });
    EXPECT_EQ(pages, (std::vector<uint64_t>{0x3000, 0x4000, kRings}));

    // Other memory: the old goes, the new comes.
    const VhostRegion elsewhere[] = {{memory_->fd(), 0x8000, 0, memory_->bytes().data(), 0x8000},
                                     regions_[1]};
    memory_->bytes()[0x8000 + 0x3000] = std::byte{0x5a};
    ASSERT_TRUE(client_->set_memory(elsewhere).ok());
    EXPECT_TRUE(read_a_sector());
    EXPECT_EQ(memory_->bytes()[0x8000 + 0x3000], std::byte{0});

    // After a reset all is negotiated anew.
    ASSERT_TRUE(client_->set_status(0).ok());
    ASSERT_TRUE(client_->set_features(kBits).ok());
    ring_.restart(true);
    ASSERT_TRUE(start().ok());
    EXPECT_TRUE(read_a_sector());
    EXPECT_TRUE(client_->stop_ring(0).ok());
}

TEST(VhostClientFuzz, SurvivesRandomAnswers) {
    std::mt19937 random(5);
    for (unsigned run = 0; run < 300; ++run) {
        std::vector<uint8_t> input(1200);
        for (auto& byte : input) byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : 0);
        // Mostly the usual answers in their order, so that it goes on.
        constexpr uint8_t kAnswers[] = {1, 15, 17, 3, 24, 25, 2, 39, 40, 36, 37, 6, 20, 8};
        size_t at = 0;
        for (const uint8_t request : kAnswers) {
            input[at] = request;
            input[at + 1] = static_cast<uint8_t>(random() % 8 == 0 ? random() : 0);
            at += 10;
        }
        input[2 + 3] |= 0x40;  // protocol features
        fuzz_vhost_client({input.data(), input.size()});
    }
}

}  // namespace
}  // namespace mynah
