// Front ends at a back end of the same process, with a socket between them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "backend/vhost/vhost_user_listener.h"
#include "paravirt/vhost/vhost_back_end.h"
#include "paravirt/vhost/vhost_block.h"
#include "paravirt/vhost/vhost_net.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/block.h"
#include "spec/virtio/device.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace std::chrono_literals;
using namespace virtio::block;
using testing::GuestBuffer;
using testing::GuestQueue;

constexpr uint64_t kRam = 4 << 20;
constexpr uint64_t kRings = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;
constexpr uint64_t kWritebackAt = offsetof(Config, writeback);
constexpr uint64_t kMmioConfig = 0x100;
constexpr uint32_t kNeedsReset = 0x40;

bool eventually(const std::function<bool()>& met) {
    for (unsigned i = 0; i < 1500; ++i) {
        if (met()) return true;
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

// A back end that keeps what it is given and says nothing; it remembers what it was told.
class SilentModel final : public VhostUserModel {
  public:
    explicit SilentModel(uint64_t features, uint16_t queues = 1)
        : features_(features), queues_(queues) {}

    uint64_t features() const override { return features_ | virtio::kFeatureVersion1; }
    uint64_t protocol_features() const override { return vhost_user::kProtocolConfig; }
    uint16_t queue_count() const override { return queues_; }
    uint16_t queue_size_max() const override { return 1024; }
    void read_config(uint32_t offset, std::span<std::byte> to) override {
        Config config{};
        config.capacity = 8;
        config.writeback = 1;
        config.num_queues = queues_;
        for (size_t i = 0; i < to.size() && offset + i < sizeof config; ++i)
            to[i] = reinterpret_cast<const std::byte*>(&config)[offset + i];
        note("read");
    }
    void write_config(uint32_t offset, std::span<const std::byte> from) override {
        note("write " + std::to_string(offset) + "=" + std::to_string(static_cast<int>(from[0])));
    }
    void negotiated(uint64_t) override { note("negotiated"); }
    void memory_changed(GuestMemory*) override {}
    void reset() override {}
    Result<void> start_ring(const Ring&) override {
        note("start");
        return {};
    }
    uint16_t stop_ring(uint16_t) override { return 0; }
    void bell(uint16_t) override { note("bell"); }

    size_t count(const std::string& what) const {
        const std::lock_guard hold(mutex_);
        return static_cast<size_t>(std::count(notes_.begin(), notes_.end(), what));
    }
    // Whether one thing was noted after the first of another.
    bool noted_after(const std::string& what, const std::string& first) const {
        const std::lock_guard hold(mutex_);
        const auto from = std::find(notes_.begin(), notes_.end(), first);
        return std::find(from, notes_.end(), what) != notes_.end();
    }

  private:
    void note(std::string what) {
        const std::lock_guard hold(mutex_);
        notes_.push_back(std::move(what));
    }

    const uint64_t features_;
    const uint16_t queues_;
    mutable std::mutex mutex_;
    std::vector<std::string> notes_;
};

// Serves a model at a path for as long as it lives.
class Serving {
  public:
    Serving(const std::string& path, VhostUserModel& model, VhostBackEnd* back_end = nullptr)
        : listener_(VhostUserListener::listen(path, "").take_value()) {
        thread_ = std::thread([this, &model, back_end] {
            for (;;) {
                Fd connection = listener_->accept(stop_);
                if (!connection.valid()) return;
                ++connections_;
                VhostUserServer server(model, std::move(connection));
                if (back_end != nullptr) back_end->connect(&server);
                (void)server.run(stop_);
                if (back_end != nullptr) back_end->connect(nullptr);
            }
        });
    }
    ~Serving() {
        stop_.signal();
        thread_.join();
    }
    unsigned connections() const { return connections_; }

  private:
    std::unique_ptr<VhostUserListener> listener_;
    EventFd stop_;
    std::atomic<unsigned> connections_{0};
    std::thread thread_;
};

class VhostDeviceTest : public ::testing::Test {
  protected:
    VhostDeviceTest() {
        folder_ = (std::filesystem::temp_directory_path() / "mynah-vhost-XXXXXX").string();
        EXPECT_NE(mkdtemp(folder_.data()), nullptr);
        path_ = folder_ + "/socket";
    }
    ~VhostDeviceTest() override {
        mmio_.reset();
        device_.reset();
        serving_.reset();
        std::filesystem::remove_all(folder_);
    }
    void serve(VhostUserModel& model, VhostBackEnd* back_end = nullptr) {
        serving_.reset();
        serving_ = std::make_unique<Serving>(path_, model, back_end);
    }
    void open_disk(uint16_t queues = 1) {
        auto opened = VhostBlock::open({.path = path_, .queues = queues}, *memory_);
        ASSERT_TRUE(opened.ok()) << opened.error().message();
        device_ = opened.take_value();
        mmio_ = std::make_unique<VirtioMmio>(*device_, DmaView(*memory_), line_);
        driver_ = std::make_unique<testing::VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
    }
    void begin(uint64_t features, uint16_t queues = 1) {
        queues_.clear();
        ASSERT_TRUE(driver_->negotiate(features));
        for (uint16_t i = 0; i < queues; ++i) queues_.push_back(driver_->make_queue(i));
        driver_->driver_ok();
    }
    void add_read(uint16_t queue, size_t pieces) {
        const GuestPhys place = driver_->allocator().take(1024);
        EXPECT_TRUE(memory_->store(place, RequestHeader{kIn, 0, 0}));
        std::vector<GuestBuffer> buffers{{place, sizeof(RequestHeader), false}};
        for (size_t i = 0; i < pieces; ++i)
            buffers.push_back({place + 64, static_cast<uint32_t>(kSector / pieces), true});
        buffers.push_back({place + 1023, 1, true});
        queues_[queue].add(buffers, true);
        driver_->ring(queue);
    }
    void write_writeback(uint8_t value) { mmio_->write(kMmioConfig + kWritebackAt, 1, value); }

    // Lives until nobody is served any more.
    SilentModel& silent(uint64_t features, uint16_t queues = 1) {
        silent_.push_back(std::make_unique<SilentModel>(features, queues));
        return *silent_.back();
    }

    static constexpr uint64_t kSector = 512;
    std::vector<std::unique_ptr<SilentModel>> silent_;
    testing::MemoryDisk disk_{64 * 1024};
    VirtioBlock served_{disk_, {.queues = 1, .id = "test"}};
    VhostBackEnd back_end_{
        served_,
        {.features = served_.features(), .queues = 1, .protocol = vhost_user::kProtocolConfig}};
    const GuestMemory::Range range_{GuestPhys{0}, kRam};
    std::unique_ptr<GuestMemory> memory_ =
        GuestMemory::create({&range_, 1}, kPageSize).take_value();
    testing::RecordingLine line_;
    std::string folder_, path_;
    std::unique_ptr<Serving> serving_;
    std::unique_ptr<VirtioDevice> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<testing::VirtioDriver> driver_;
    std::vector<GuestQueue> queues_;
};

TEST_F(VhostDeviceTest, ADriverThatComesBackNegotiatesTheSame) {
    serve(back_end_, &back_end_);
    open_disk();
    for (unsigned driver = 0; driver < 2; ++driver) {
        begin(kRings | kFeatureFlush);
        add_read(0, 2);
        EXPECT_TRUE(eventually([&] { return queues_[0].take_used().has_value(); })) << driver;
    }
}

TEST_F(VhostDeviceTest, ABackEndThatTakesOverIsToldTheCachesMode) {
    SilentModel& first = silent(kFeatureFlush | kFeatureConfigWce);
    SilentModel& second = silent(kFeatureFlush | kFeatureConfigWce);
    serve(first);
    open_disk();
    ASSERT_TRUE(driver_->negotiate(kRings | kFeatureFlush | kFeatureConfigWce));
    queues_.push_back(driver_->make_queue(0));
    write_writeback(0);  // before the back end knows of any feature
    driver_->driver_ok();
    driver_->ring(0);
    EXPECT_TRUE(eventually([&] { return first.noted_after("write 32=0", "negotiated"); }));
    serve(second);
    EXPECT_TRUE(eventually([&] { return second.count("start") > 0; }));
    EXPECT_TRUE(second.noted_after("write 32=0", "negotiated"));
    EXPECT_EQ(driver_->config<uint8_t>(kWritebackAt), 0);
    // The next driver finds the default, and so does the back end.
    begin(kRings | kFeatureFlush | kFeatureConfigWce);
    EXPECT_EQ(driver_->config<uint8_t>(kWritebackAt), 1);
    driver_->ring(0);
    EXPECT_TRUE(eventually([&] { return second.noted_after("write 32=1", "write 32=0"); }));
}

TEST_F(VhostDeviceTest, ABackEndThatLacksWhatIsOnOfferIsNotTaken) {
    SilentModel& first = silent(kFeatureFlush | kFeatureConfigWce);
    SilentModel& second = silent(kFeatureFlush);
    serve(first);
    open_disk();
    ASSERT_NE(driver_->device_features() & kFeatureConfigWce, 0u);
    serve(second);  // no driver has accepted anything yet
    EXPECT_TRUE(eventually([&] { return serving_->connections() > 2; }));
    EXPECT_EQ(second.count("read"), 0u);
}

TEST_F(VhostDeviceTest, QueuesThatStopWaitTogether) {
    constexpr uint16_t kQueues = 4;
    SilentModel& model = silent(kFeatureMq, kQueues);
    serve(model);
    open_disk(kQueues);
    begin(kRings | kFeatureMq, kQueues);
    for (uint16_t i = 0; i < kQueues; ++i) add_read(i, 1);
    ASSERT_TRUE(eventually([&] { return model.count("bell") + model.count("start") >= kQueues; }));
    const auto begin = std::chrono::steady_clock::now();
    driver_->write(0x70, 0);                                   // Status
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);  // each alone: 20
    EXPECT_EQ(driver_->status(), 0u);
}

TEST_F(VhostDeviceTest, ARequestThatTheBackEndCannotTakeBreaksTheQueue) {
    SilentModel& model = silent(0);  // without indirect descriptors
    serve(model);
    open_disk();
    begin(kRings);
    // Not more buffers than the queue has entries, but each lies in two places of the file.
    constexpr GuestPhys kSeam{kRam / 2};
    memory_->set_overlay(memory_->take_overlay(),
                         {.start = kSeam,
                          .size = kPageSize,
                          .kind = MemoryOverlay::Kind::kMemory,
                          .offset = memory_->take_block(kPageSize).offset});
    const std::vector<GuestBuffer> buffers(VhostBlock::kQueueSize - 10,
                                           {GuestPhys{kRam / 2 - 4}, 8, true});
    queues_[0].add(buffers, true);
    driver_->ring(0);
    EXPECT_TRUE(eventually([&] { return (driver_->status() & kNeedsReset) != 0; }));
    // All chains are back, or this would wait for ever.
    begin(kRings);
    EXPECT_EQ(driver_->status() & kNeedsReset, 0u);
}

TEST_F(VhostDeviceTest, PairsOfQueuesAreNotCountedAsQueues) {
    SilentModel& model = silent(0, 2);
    serve(model);
    const auto card = VhostNet::open({.path = path_, .pairs = 2, .address = {}}, *memory_);
    ASSERT_FALSE(card.ok());
    EXPECT_NE(card.error().message().find("queues=2: the back end has 1"), std::string::npos)
        << card.error().message();
}

TEST(VhostBackEnd, TheCachesModeOutlivesAChangeOfMemory) {
    testing::MemoryDisk disk(64 * 1024);
    VirtioBlock served(disk, {.queues = 1, .id = "test"});
    VhostBackEnd back_end(
        served,
        {.features = served.features(), .queues = 1, .protocol = vhost_user::kProtocolConfig});
    const GuestMemory::Range range{GuestPhys{0}, kRam};
    const auto one = GuestMemory::create({&range, 1}).take_value();
    const auto other = GuestMemory::create({&range, 1}).take_value();
    back_end.negotiated(virtio::kFeatureVersion1 | kFeatureFlush | kFeatureConfigWce);
    back_end.memory_changed(one.get());
    std::byte mode{};
    back_end.read_config(kWritebackAt, {&mode, 1});
    ASSERT_EQ(mode, std::byte{1});
    mode = std::byte{0};
    back_end.write_config(kWritebackAt, {&mode, 1});
    back_end.memory_changed(other.get());
    mode = std::byte{1};
    back_end.read_config(kWritebackAt, {&mode, 1});
    EXPECT_EQ(mode, std::byte{0});
    back_end.memory_changed(nullptr);
}

}  // namespace
}  // namespace mynah
