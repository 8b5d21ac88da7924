// vDPA devices: our client in front of a scripted kernel and of our own device in software.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "backend/vhost/vdpa_client.h"
#include "backend/vhost/vhost_user_listener.h"
#include "paravirt/vhost/driver_ring.h"
#include "paravirt/vhost/vdpa_client_fuzz.h"
#include "paravirt/vhost/vdpa_server_fuzz.h"
#include "paravirt/vhost/vhost_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/block.h"
#include "testing/recording_line.h"
#include "testing/vhost_kernel.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using testing::GuestBuffer;
using ::testing::HasSubstr;
using testing::VhostKernel;

constexpr uint64_t kRam = 4 << 20, kRingsAt = 1 << 30;
constexpr const char* kNode = "/dev/vhost-vdpa-0";
constexpr uint64_t kBits = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;
constexpr uint8_t kDriving = virtio::kStatusAcknowledge | virtio::kStatusDriver;
constexpr uint8_t kAgreed = kDriving | virtio::kStatusFeaturesOk;

bool eventually(const std::function<bool()>& met) {
    for (unsigned i = 0; i < 1500; ++i) {
        if (met()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

class VdpaNode : public ::testing::Test {
  protected:
    VdpaNode() { kernel_.node(kNode); }
    std::string failure(const std::string& path = kNode) {
        const auto client = VdpaClient::open(path, kernel_);
        if (client) return "";
        return client.error().message();
    }

    VhostKernel kernel_;
    std::unique_ptr<SharedMemory> memory_ = SharedMemory::create("m", 1 << 16).take_value();
    std::unique_ptr<SharedMemory> rings_ =
        SharedMemory::create("r", DriverRing::memory_size(8)).take_value();
    const std::array<VhostRegion, 2> regions_{
        VhostRegion{memory_->fd(), 0, 0, memory_->bytes().data(), 1 << 16},
        VhostRegion{rings_->fd(), 0, kRingsAt, rings_->bytes().data(), rings_->bytes().size()}};
};

TEST_F(VdpaNode, IsDrivenAsTheKernelWantsIt) {
    auto client = VdpaClient::open(kNode, kernel_).take_value();
    EXPECT_EQ(client->device_id(), virtio::kDeviceBlock);
    EXPECT_EQ(client->queue_limit(), 4u);
    EXPECT_EQ(client->queue_size_limit(), 128u);
    EXPECT_TRUE(kernel_.owned());
    EXPECT_EQ(kernel_.config_call, client->news());
    // More than the device has reads as zero.
    kernel_.config[0] = 7;
    std::array<std::byte, 96> config;
    config.fill(std::byte{0xff});
    ASSERT_TRUE(client->get_config(config).ok());
    EXPECT_EQ(config[0], std::byte{7});
    EXPECT_EQ(config[95], std::byte{0});
    const std::byte mode{1};
    ASSERT_TRUE(client->set_config(32, {&mode, 1}).ok());
    EXPECT_EQ(kernel_.config[32], 1);
    EXPECT_FALSE(client->set_config(60, {&mode, 1}).ok());

    ASSERT_TRUE(client->set_features(kBits).ok());
    EXPECT_EQ(kernel_.features, kBits | virtio::kFeatureAccessPlatform);
    ASSERT_TRUE(client->set_status(kAgreed).ok());
    EXPECT_EQ(client->get_status().value(), kAgreed);

    // A mapping for each region; the same again is there already, another replaces it.
    ASSERT_TRUE(client->set_memory(regions_).ok());
    ASSERT_EQ(kernel_.mappings.size(), 2u);
    EXPECT_EQ(kernel_.mappings.at(kRingsAt).uaddr,
              reinterpret_cast<uint64_t>(rings_->bytes().data()));
    ASSERT_TRUE(client->set_memory(regions_).ok());
    EXPECT_EQ(kernel_.batches, 1u);
    EXPECT_FALSE(kernel_.in_batch);
    ASSERT_TRUE(client->set_memory({&regions_[1], 1}).ok());
    EXPECT_EQ(kernel_.mappings.size(), 1u);
    ASSERT_TRUE(client->set_memory(regions_).ok());

    const std::byte* const base = rings_->bytes().data();
    const EventFd kick, call;
    ASSERT_TRUE(
        client->start_ring(1, {8, 3, base, base + 256, base + 512, kick.fd(), call.fd()}).ok());
    ASSERT_TRUE(client->enable_ring(1, true).ok());
    const VhostKernel::Ring& ring = kernel_.rings.at(1);
    EXPECT_EQ(ring.size.num, 8u);
    EXPECT_EQ(ring.base.num, 3u);
    EXPECT_EQ(ring.address.desc_user_addr, kRingsAt);  // as the device knows it
    EXPECT_EQ(ring.address.avail_user_addr, kRingsAt + 256);
    EXPECT_EQ(ring.address.used_user_addr, kRingsAt + 512);
    EXPECT_EQ(ring.kick, kick.fd());
    EXPECT_EQ(ring.call, call.fd());
    EXPECT_TRUE(ring.enabled);
    EXPECT_FALSE(client->start_ring(1, {8, 0, nullptr, base, base, -1, -1}).ok());

    // The configuration changes.
    const uint64_t one = 1;
    ASSERT_EQ(::write(kernel_.config_call, &one, sizeof one), 8);
    EXPECT_TRUE(client->take_news());
    EXPECT_FALSE(client->take_news());

    ASSERT_TRUE(client->stop_device().ok());
    EXPECT_EQ(kernel_.count(VHOST_VDPA_SUSPEND), 1u);
    EXPECT_EQ(kernel_.status, 0u);
    EXPECT_TRUE(kernel_.mappings.empty());
    client.reset();
    EXPECT_TRUE(kernel_.open_fds().empty());
}

TEST_F(VdpaNode, WhatFailsIsSaidInALine) {
    EXPECT_THAT(failure("/dev/none"), HasSubstr("/dev/none: there is no such device"));
    kernel_.node("/dev/theirs", -EACCES);
    EXPECT_THAT(failure("/dev/theirs"), HasSubstr("no rights"));
    kernel_.node("/dev/used", -EBUSY);
    EXPECT_THAT(failure("/dev/used"), HasSubstr("somebody else uses"));
    constexpr std::pair<unsigned long, const char*> kNeeded[] = {
        {VHOST_VDPA_GET_DEVICE_ID, "VHOST_VDPA_GET_DEVICE_ID: "},
        {VHOST_SET_OWNER, "VHOST_SET_OWNER: "},
        {VHOST_GET_BACKEND_FEATURES, "VHOST_GET_BACKEND_FEATURES: "},
        {VHOST_SET_BACKEND_FEATURES, "VHOST_SET_BACKEND_FEATURES: "},
        {VHOST_VDPA_SET_STATUS, "VHOST_VDPA_SET_STATUS: "},
        {VHOST_GET_FEATURES, "VHOST_GET_FEATURES: "},
        {VHOST_VDPA_GET_VRING_NUM, "VHOST_VDPA_GET_VRING_NUM: "},
        {VHOST_VDPA_SET_CONFIG_CALL, "VHOST_VDPA_SET_CONFIG_CALL: "}};
    for (const auto& [request, text] : kNeeded) {
        kernel_.fail(request, -EIO);
        EXPECT_THAT(failure(), HasSubstr(std::string(text) + "Input/output error"));
        EXPECT_TRUE(kernel_.open_fds().empty()) << text;
        kernel_.mend();
    }
    // What an older kernel does not have.
    for (const unsigned long request : std::initializer_list<unsigned long>{
             VHOST_VDPA_GET_VQS_COUNT, VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_IOVA_RANGE})
        kernel_.fail(request, -ENOTTY);
    EXPECT_EQ(failure(), "");
    kernel_.mend();
    kernel_.offered = virtio::kFeatureAccessPlatform;
    EXPECT_THAT(failure(), HasSubstr("legacy device"));
    kernel_.offered = kBits;
    kernel_.back_end_offered = 0;
    EXPECT_THAT(failure(), HasSubstr("messages of version 2"));
    kernel_.back_end_offered = 2;
    kernel_.queue_size = 0;
    EXPECT_THAT(failure(), HasSubstr("no entries"));
}

TEST_F(VdpaNode, MemoryThatCannotBeGiven) {
    kernel_.addresses = {0, kRingsAt - 1};
    kernel_.back_end_offered = 2;  // no batches, no suspension
    auto client = VdpaClient::open(kNode, kernel_).take_value();
    EXPECT_THAT(client->set_memory(regions_).error().message(), HasSubstr("out of its reach"));
    ASSERT_TRUE(client->set_memory({&regions_[0], 1}).ok());
    EXPECT_EQ(kernel_.batches, 0u);
    ASSERT_TRUE(client->stop_device().ok());
    EXPECT_EQ(kernel_.count(VHOST_VDPA_SUSPEND), 0u);
    kernel_.fail(0, -ENOMEM);
    EXPECT_THAT(client->set_memory({&regions_[0], 1}).error().message(),
                HasSubstr("limit on locked memory"));
}

// --- a machine's disk behind a node ---

class VdpaDisk : public ::testing::Test {
  protected:
    using Connector = VhostLink::Connector;
    void open_disk(const Connector& connect, uint16_t queues) {
        auto link = VhostLink::open("node", "--vdpa ", 0, connect);
        ASSERT_TRUE(link.ok()) << link.error().message();
        auto opened =
            VhostBlock::open({.path = "node", .queues = queues}, link.take_value(), *memory_);
        ASSERT_TRUE(opened.ok()) << opened.error().message();
        device_ = opened.take_value();
        mmio_ = std::make_unique<VirtioMmio>(*device_, DmaView(*memory_), line_);
        driver_ = std::make_unique<testing::VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
    }
    void begin(uint16_t queues) {
        queues_.clear();
        ASSERT_TRUE(driver_->negotiate(kBits | virtio::block::kFeatureMq));
        for (uint16_t i = 0; i < queues; ++i) queues_.push_back(driver_->make_queue(i));
        driver_->driver_ok();
    }
    void read_a_sector(uint16_t queue) {
        const GuestPhys place = driver_->allocator().take(1024);
        EXPECT_TRUE(memory_->store(place, virtio::block::RequestHeader{0, 0, 0}));
        queues_[queue].add(
            std::vector<GuestBuffer>{
                {place, 16, false}, {place + 64, 512, true}, {place + 1023, 1, true}},
            true);
        driver_->ring(queue);
    }

    const GuestMemory::Range range_{GuestPhys{0}, kRam};
    std::unique_ptr<GuestMemory> memory_ = GuestMemory::create({&range_, 1}).take_value();
    testing::RecordingLine line_;
    std::unique_ptr<VirtioDevice> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<testing::VirtioDriver> driver_;
    std::vector<testing::GuestQueue> queues_;
};

TEST_F(VdpaDisk, RingsAreToldBeforeTheDriverRuns) {
    VhostKernel kernel;
    kernel.node(kNode);
    kernel.offered |= virtio::block::kFeatureMq;
    kernel.config[offsetof(virtio::block::Config, num_queues)] = 2;
    open_disk(
        [&]() -> Result<std::unique_ptr<VhostClient>> {
            return std::unique_ptr<VhostClient>(TRY(VdpaClient::open(kNode, kernel)));
        },
        2);
    EXPECT_EQ(device_->queue_size_max(0), 128u);  // the device's limit
    unsigned enabled_when_running = 0;
    kernel.on(VHOST_VDPA_SET_STATUS, [&](int, uintptr_t argument) {
        if ((*reinterpret_cast<uint8_t*>(argument) & virtio::kStatusDriverOk) != 0) {
            for (const auto& [index, ring] : kernel.rings) enabled_when_running += ring.enabled;
        }
        return -ENOTTY;  // and as usual
    });
    begin(2);
    EXPECT_EQ(enabled_when_running, 2u);
    EXPECT_EQ(kernel.status, kAgreed | virtio::kStatusDriverOk);
    EXPECT_GE(kernel.mappings.size(), 2u);
    driver_->write(0x70, 0);  // Status
    EXPECT_EQ(kernel.status, 0u);
    mmio_.reset();
    device_.reset();
    EXPECT_TRUE(kernel.open_fds().empty());
}

// --- our own device ---

// Serves a disk at a path for as long as it lives.
class Serving {
  public:
    explicit Serving(const std::string& path)
        : listener_(VhostUserListener::listen(path, "").take_value()) {
        thread_ = std::thread([this] {
            for (;;) {
                Fd connection = listener_->accept(stop_);
                if (!connection.valid()) return;
                VdpaServer server(back_end_, {virtio::kDeviceBlock, sizeof(virtio::block::Config)},
                                  std::move(connection));
                back_end_.connect(&server);
                (void)server.run(stop_);
                back_end_.connect(nullptr);
            }
        });
    }
    ~Serving() {
        stop_.signal();
        thread_.join();
    }

  private:
    testing::MemoryDisk disk_{64 * 1024};
    VirtioBlock device_{disk_, {.queues = 2, .id = "test"}};
    VhostBackEnd back_end_{device_, {.features = device_.features(), .queues = 2, .protocol = 0}};
    std::unique_ptr<VhostUserListener> listener_;
    EventFd stop_;
    std::thread thread_;
};

class VdpaInSoftware : public VdpaDisk {
  protected:
    VdpaInSoftware() {
        folder_ = (std::filesystem::temp_directory_path() / "mynah-vdpa-XXXXXX").string();
        EXPECT_NE(mkdtemp(folder_.data()), nullptr);
        path_ = folder_ + "/socket";
        serving_ = std::make_unique<Serving>(path_);
    }
    ~VdpaInSoftware() override {
        mmio_.reset();
        device_.reset();
        serving_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open_disk(uint16_t queues) {
        VdpaDisk::open_disk(
            [this]() -> Result<std::unique_ptr<VhostClient>> {
                return std::unique_ptr<VhostClient>(TRY(VdpaClient::open(path_)));
            },
            queues);
    }
    bool comes_back(uint16_t queue) {
        return eventually([&] { return queues_[queue].take_used().has_value(); });
    }

    std::string folder_, path_;
    std::unique_ptr<Serving> serving_;
};

TEST_F(VdpaInSoftware, ServesADriverThatComesBack) {
    open_disk(2);
    for (unsigned driver = 0; driver < 2; ++driver) {
        begin(2);
        for (uint16_t queue = 0; queue < 2; ++queue) {
            read_a_sector(queue);
            EXPECT_TRUE(comes_back(queue)) << driver << queue;
        }
    }
}

TEST_F(VdpaInSoftware, OneQueueStopsAndTheOtherGoesOn) {
    open_disk(2);
    begin(2);
    read_a_sector(1);
    ASSERT_TRUE(comes_back(1));
    mmio_->write(0x30, 4, 0);  // QueueSel
    mmio_->write(0x44, 4, 0);  // QueueReady
    read_a_sector(1);
    EXPECT_TRUE(comes_back(1));
}

TEST_F(VdpaInSoftware, AnotherProcessTakesOver) {
    open_disk(1);
    begin(1);
    read_a_sector(0);
    ASSERT_TRUE(comes_back(0));
    serving_.reset();
    read_a_sector(0);
    EXPECT_FALSE(queues_[0].take_used().has_value());
    serving_ = std::make_unique<Serving>(path_);
    EXPECT_TRUE(comes_back(0));
}

TEST_F(VdpaInSoftware, AnswersAsAKernelDoes) {
    VdpaSocketCalls calls;
    const int fd = calls.open(path_.c_str(), 0);
    ASSERT_GE(fd, 0);
    uint64_t bits = 0;
    EXPECT_EQ(calls.ioctl(fd, VHOST_GET_FEATURES, &bits), 0);
    EXPECT_NE(bits & virtio::kFeatureAccessPlatform, 0u);
    bits = ~uint64_t{0};
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_FEATURES, &bits), -EINVAL);
    bits = virtio::kFeatureVersion1;  // without the other that it needs
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_FEATURES, &bits), 0);
    uint8_t status = kAgreed;
    EXPECT_EQ(calls.ioctl(fd, VHOST_VDPA_SET_STATUS, &status), 0);
    EXPECT_EQ(calls.ioctl(fd, VHOST_VDPA_GET_STATUS, &status), 0);
    EXPECT_EQ(status, kDriving);
    status = kAgreed | virtio::kStatusDriverOk;
    EXPECT_EQ(calls.ioctl(fd, VHOST_VDPA_SET_STATUS, &status), -EINVAL);
    vhost_vring_state state{2, 8};
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_VRING_NUM, &state), -ENOBUFS);
    state = {1, 7};
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_VRING_NUM, &state), -EINVAL);
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_MEM_TABLE, &state), -ENOTTY);
    vhost_msg_v2 message{};
    message.type = VHOST_IOTLB_MSG_V2;
    message.iotlb = {0, 4096, 0, VHOST_ACCESS_RW, VHOST_IOTLB_INVALIDATE};
    EXPECT_EQ(calls.write(fd, &message, sizeof message), -EINVAL);  // nobody agreed on messages
    bits = 6;
    EXPECT_EQ(calls.ioctl(fd, VHOST_SET_BACKEND_FEATURES, &bits), 0);
    EXPECT_EQ(calls.write(fd, &message, sizeof message), static_cast<int64_t>(sizeof message));
    message.iotlb.type = VHOST_IOTLB_UPDATE;
    EXPECT_EQ(calls.write(fd, &message, sizeof message), -EFAULT);  // no memory of ours
    const auto memory = SharedMemory::create("m", 8192).take_value();
    const VhostRegion region{memory->fd(), 0, 0, memory->bytes().data(), 8192};
    calls.share({&region, 1});
    message.iotlb.uaddr = reinterpret_cast<uint64_t>(memory->bytes().data());
    message.iotlb.size = 8192;
    EXPECT_EQ(calls.write(fd, &message, sizeof message), static_cast<int64_t>(sizeof message));
    EXPECT_EQ(calls.write(fd, &message, sizeof message), -EINVAL);  // overlaps
    message.iotlb.type = VHOST_IOTLB_INVALIDATE;
    message.iotlb.size = 4096;
    EXPECT_EQ(calls.write(fd, &message, sizeof message), -EINVAL);  // cuts
    calls.close(fd);
}

TEST_F(VdpaInSoftware, AProcessThatIsGoneIsAnError) {
    VdpaSocketCalls calls;
    const int fd = calls.open(path_.c_str(), 0);
    ASSERT_GE(fd, 0);
    serving_.reset();
    uint64_t bits = 0;
    EXPECT_EQ(calls.ioctl(fd, VHOST_GET_FEATURES, &bits), -EIO);
    EXPECT_EQ(calls.open(path_.c_str(), 0), -ENOENT);
    calls.close(fd);
}

TEST(VdpaServerFuzz, SurvivesRandomRequests) {
    std::mt19937 random(9);
    for (unsigned run = 0; run < 500; ++run) {
        std::vector<uint8_t> input(1500);
        for (auto& byte : input) byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : 0);
        fuzz_vdpa_server(input);
    }
}

// What a good device answers, as the fuzz target takes it.
std::vector<uint8_t> good_answers() {
    std::vector<uint8_t> bytes;
    const auto answer = [&bytes](std::initializer_list<uint64_t> values, size_t size) {
        const size_t at = bytes.size() + 1;  // nothing departs
        bytes.resize(at + size);
        size_t offset = at;
        for (const uint64_t value : values) {
            std::memcpy(bytes.data() + offset, &value, std::min<size_t>(size, sizeof value));
            offset += sizeof value;
        }
    };
    answer({virtio::kDeviceBlock}, 4);
    answer({}, 0);
    answer({0x16}, 8);  // messages of version 2, batches, suspension
    answer({}, 0);
    answer({}, 0);
    answer({virtio::kFeatureVersion1 | virtio::kFeatureAccessPlatform}, 8);
    answer({8}, 2);
    answer({1}, 4);
    answer({60}, 4);
    answer({0, ~uint64_t{0}}, 16);
    answer({}, 0);
    answer({}, 68);
    for (unsigned i = 0; i < 4; ++i) answer({}, 0);
    answer({11}, 1);
    for (unsigned i = 0; i < 12; ++i) answer({}, 0);
    return bytes;
}

TEST(VdpaClientFuzz, SurvivesRandomAnswers) {
    const std::vector<uint8_t> good = good_answers();
    EXPECT_TRUE(fuzz_vdpa_client({good.data(), good.size()}));
    std::mt19937 random(3);
    unsigned failed = 0;
    for (unsigned run = 0; run < 1000; ++run) {
        std::vector<uint8_t> input = good;
        for (unsigned change = random() % 4; change < 4; ++change)
            input[random() % input.size()] = static_cast<uint8_t>(random());
        failed += fuzz_vdpa_client({input.data(), input.size()}) ? 0 : 1;
    }
    EXPECT_GT(failed, 100u);
}

}  // namespace
}  // namespace mynah
