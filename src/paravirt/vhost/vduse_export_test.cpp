// A device as one of the host's kernel, by a kernel that is scripted.

#include "backend/vhost/vduse_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <deque>

#include "backend/vhost/shared_memory.h"
#include "paravirt/vhost/driver_ring.h"
#include "paravirt/vhost/vhost_back_end.h"
#include "paravirt/virtio/virtio_block.h"
#include "spec/virtio/block.h"
#include "spec/virtio/device.h"
#include "testing/memory_disk.h"
#include "testing/scripted_system_calls.h"

namespace mynah {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kRingsAt = 1 << 20, kMemory = 1 << 16;
constexpr uint8_t kRunning = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                             VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

// The kernel's side: a queue of messages for the device, and what it answered.
class VduseKernel : public testing::ScriptedSystemCalls {
  public:
    int64_t read(int, void* to, size_t bytes) override {
        if (messages.empty()) return -EAGAIN;
        std::memcpy(to, &messages.front(), bytes);
        messages.pop_front();
        return static_cast<int64_t>(bytes);
    }
    int64_t write(int, const void* from, size_t bytes) override {
        EXPECT_EQ(bytes, sizeof(vduse_dev_response));
        std::memcpy(&answer, from, sizeof answer);
        return static_cast<int64_t>(bytes);
    }

    std::deque<vduse_dev_request> messages;
    vduse_dev_response answer{};
};

class Vduse : public ::testing::Test {
  protected:
    Vduse() {
        kernel_.node(VduseExport::kControl);
        kernel_.on(VDUSE_SET_API_VERSION, 0);
        kernel_.on(VDUSE_CREATE_DEV, [this](int, uintptr_t argument) {
            std::memcpy(made_.data(), reinterpret_cast<void*>(argument), made_.size());
            std::memcpy(&capacity_,
                        reinterpret_cast<std::byte*>(argument) + offsetof(vduse_dev_config, config),
                        sizeof capacity_);
            kernel_.node("/dev/vduse/disk");
            return 0;
        });
        kernel_.on(VDUSE_DESTROY_DEV, [this](int, uintptr_t argument) {
            EXPECT_STREQ(reinterpret_cast<const char*>(argument), "disk");
            EXPECT_EQ(kernel_.open_fds(), std::vector<std::string>{VduseExport::kControl});
            return 0;
        });
        kernel_.on(VDUSE_VQ_SETUP, 0);
        kernel_.on(VDUSE_DEV_GET_FEATURES, [](int, uintptr_t argument) {
            *reinterpret_cast<uint64_t*>(argument) = virtio::kFeatureVersion1 |
                                                     virtio::kFeatureAccessPlatform |
                                                     virtio::kFeatureIndirectDesc;
            return 0;
        });
        kernel_.on(VDUSE_IOTLB_GET_FD, [this](int, uintptr_t argument) { return give(argument); });
        kernel_.on(VDUSE_VQ_GET_INFO, [this](int, uintptr_t argument) {
            auto& info = *reinterpret_cast<vduse_vq_info*>(argument);
            const auto at = [this](const std::byte* place) {
                return kRingsAt + static_cast<uint64_t>(place - rings_->bytes().data());
            };
            info.ready = info.index == 0;
            info.num = ring_size_;
            info.desc_addr = at(ring_.descriptors());
            info.driver_addr = at(ring_.available());
            info.device_addr = at(ring_.used());
            return 0;
        });
        kernel_.on(VDUSE_VQ_SETUP_KICKFD, [this](int, uintptr_t argument) {
            kick_ = reinterpret_cast<vduse_vq_eventfd*>(argument)->fd;
            return 0;
        });
        kernel_.on(VDUSE_VQ_INJECT_IRQ, 0);
    }
    ~Vduse() override { back_end_.connect(nullptr); }

    // Two mappings: memory, and rings.
    int give(uintptr_t argument) {
        auto& entry = *reinterpret_cast<vduse_iotlb_entry*>(argument);
        if (!mapped_) return -EINVAL;
        const uint64_t rings_size = rings_->bytes().size();
        const bool first = entry.start < kMemory;
        if (!first && entry.start >= kRingsAt + rings_size) return -EINVAL;
        entry.start = first ? 0 : kRingsAt;
        entry.last = first ? kMemory - 1 : kRingsAt + rings_size - 1;
        entry.offset = 0;
        return dup(first ? memory_->fd() : rings_->fd());
    }
    Result<void> create() {
        exported_ =
            TRY(VduseExport::create(back_end_,
                                    {"disk", virtio::kDeviceBlock, sizeof(virtio::block::Config),
                                     virtio::block::kFeatureConfigWce},
                                    kernel_));
        back_end_.connect(exported_.get());
        return {};
    }
    // What the device answers.
    uint32_t say(uint32_t type, uint8_t status = 0) {
        vduse_dev_request request{};
        request.type = type;
        request.request_id = ++id_;
        request.s.status = status;
        kernel_.messages.push_back(request);
        EXPECT_TRUE(exported_->serve_message().ok());
        EXPECT_EQ(kernel_.answer.request_id, id_);
        return kernel_.answer.result;
    }
    // True: the device read the disk's first sector into memory at once.
    bool reads_a_sector() {
        memory_->bytes()[0x4000] = std::byte{0xff};
        (void)ring_.add(std::vector<DriverRing::Piece>{
            {0x2000, 16, false}, {0x3000, 512, true}, {0x4000, 1, true}});
        back_end_.ring_if_running(0);
        return ring_.take_used() && memory_->bytes()[0x4000] == std::byte{0};
    }

    VduseKernel kernel_;
    const vduse_dev_config& made() const {
        return *reinterpret_cast<const vduse_dev_config*>(made_.data());
    }

    alignas(vduse_dev_config) std::array<std::byte, sizeof(vduse_dev_config)> made_{};
    uint64_t capacity_ = 0;
    bool mapped_ = true;
    uint32_t ring_size_ = 8, id_ = 0;
    int kick_ = -1;
    testing::MemoryDisk disk_{64 * 1024};
    VirtioBlock device_{disk_, {.queues = 2, .id = "test"}};
    VhostBackEnd back_end_{device_, {.features = device_.features(), .queues = 2, .protocol = 0}};
    std::unique_ptr<SharedMemory> memory_ = SharedMemory::create("m", kMemory).take_value();
    std::unique_ptr<SharedMemory> rings_ =
        SharedMemory::create("r", DriverRing::memory_size(8)).take_value();
    DriverRing ring_{rings_->bytes(), kRingsAt, 8};
    std::unique_ptr<VduseExport> exported_;
};

TEST_F(Vduse, ADiskOfTheHostsKernel) {
    ASSERT_TRUE(create().ok());
    EXPECT_STREQ(made().name, "disk");
    EXPECT_EQ(made().device_id, virtio::kDeviceBlock);
    EXPECT_EQ(made().vq_num, 2u);
    EXPECT_EQ(made().config_size, sizeof(virtio::block::Config));
    EXPECT_EQ(capacity_, 128u);
    EXPECT_NE(made().features & virtio::kFeatureAccessPlatform, 0u);
    EXPECT_EQ(made().features & virtio::block::kFeatureConfigWce, 0u);
    EXPECT_EQ(kernel_.count(VDUSE_VQ_SETUP), 2u);
    for (unsigned driver = 0; driver < 2; ++driver) {
        ring_.restart(true);
        EXPECT_EQ(say(VDUSE_SET_STATUS, kRunning & ~VIRTIO_CONFIG_S_DRIVER_OK), 0u);
        EXPECT_EQ(say(VDUSE_SET_STATUS, kRunning), 0u);
        EXPECT_GE(kick_, 0);
        EXPECT_TRUE(reads_a_sector());
        EXPECT_GT(kernel_.count(VDUSE_VQ_INJECT_IRQ), driver);
        // The mappings change: it goes on in the new.
        EXPECT_EQ(say(VDUSE_UPDATE_IOTLB), 0u);
        EXPECT_TRUE(reads_a_sector());
        mapped_ = false;
        EXPECT_EQ(say(VDUSE_UPDATE_IOTLB), 0u);
        mapped_ = true;
        EXPECT_EQ(say(VDUSE_GET_VQ_STATE), 0u);
        EXPECT_EQ(kernel_.answer.vq_state.split.avail_index, 2u);
        EXPECT_EQ(say(VDUSE_SET_STATUS, 0), 0u);
    }
    EXPECT_EQ(say(99), unsigned{VDUSE_REQ_RESULT_FAILED});
    EXPECT_TRUE(exported_->serve_message().ok());  // there is none
    exported_.reset();
    EXPECT_EQ(kernel_.count(VDUSE_DESTROY_DEV), 1u);
    EXPECT_TRUE(kernel_.open_fds().empty());
}

TEST_F(Vduse, WhatTheKernelSaysIsChecked) {
    ASSERT_TRUE(create().ok());
    vduse_dev_request request{};
    request.type = VDUSE_GET_VQ_STATE;
    request.vq_state.index = 2;
    kernel_.messages.push_back(request);
    EXPECT_TRUE(exported_->serve_message().ok());
    EXPECT_EQ(kernel_.answer.result, unsigned{VDUSE_REQ_RESULT_FAILED});
    ring_size_ = 7;
    EXPECT_EQ(say(VDUSE_SET_STATUS, kRunning), unsigned{VDUSE_REQ_RESULT_FAILED});
    EXPECT_FALSE(reads_a_sector());
    EXPECT_EQ(say(VDUSE_SET_STATUS, 0), 0u);
    // Mappings without an end.
    kernel_.on(VDUSE_IOTLB_GET_FD, [this](int, uintptr_t argument) {
        auto& entry = *reinterpret_cast<vduse_iotlb_entry*>(argument);
        entry.last = entry.start + 4095;
        entry.offset = 0;
        return dup(memory_->fd());
    });
    EXPECT_EQ(say(VDUSE_SET_STATUS, kRunning), unsigned{VDUSE_REQ_RESULT_FAILED});
}

TEST_F(Vduse, WhatFailsIsSaidInALine) {
    constexpr std::pair<unsigned long, const char*> kNeeded[] = {
        {VDUSE_SET_API_VERSION, "/dev/vduse/control: VDUSE_SET_API_VERSION: "},
        {VDUSE_CREATE_DEV, "/dev/vduse/control: VDUSE_CREATE_DEV: "},
        {VDUSE_VQ_SETUP, "/dev/vduse/disk: VDUSE_VQ_SETUP: "}};
    for (const auto& [request, text] : kNeeded) {
        testing::ScriptedSystemCalls kernel;
        kernel.node(VduseExport::kControl);
        kernel.node("/dev/vduse/disk");
        for (const auto& [other, name] : kNeeded) kernel.on(other, 0);
        kernel.on(VDUSE_DESTROY_DEV, 0);
        kernel.on(request, -EIO);
        const auto made = VduseExport::create(back_end_, {"disk", 2, 60, 0}, kernel);
        ASSERT_FALSE(made.ok());
        EXPECT_EQ(made.error().message(), std::string(text) + "Input/output error");
        EXPECT_TRUE(kernel.open_fds().empty());
    }
    testing::ScriptedSystemCalls kernel;
    const auto none = VduseExport::create(back_end_, {"disk", 2, 60, 0}, kernel);
    EXPECT_THAT(none.error().message(), HasSubstr("/dev/vduse/control: there is no such device"));
    kernel.node(VduseExport::kControl);
    kernel.on(VDUSE_SET_API_VERSION, 0);
    kernel.on(VDUSE_CREATE_DEV, -EEXIST);
    const auto twice = VduseExport::create(back_end_, {"disk", 2, 60, 0}, kernel);
    EXPECT_THAT(twice.error().message(), HasSubstr("a device named disk already"));
    kernel.on(VDUSE_CREATE_DEV, 0);
    kernel.on(VDUSE_DESTROY_DEV, 0);
    const auto unseen = VduseExport::create(back_end_, {"disk", 2, 60, 0}, kernel);
    EXPECT_THAT(unseen.error().message(), HasSubstr("/dev/vduse/disk: there is no such device"));
    EXPECT_EQ(kernel.count(VDUSE_DESTROY_DEV), 1u);
}

}  // namespace
}  // namespace mynah
