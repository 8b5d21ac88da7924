// vhost in the kernel, by a kernel that is scripted.

#include "backend/vhost/kernel_vhost_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>

#include "paravirt/vhost/vhost_net.h"
#include "paravirt/vhost/vhost_vsock.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/net.h"
#include "spec/virtio/vsock.h"
#include "testing/recording_line.h"
#include "testing/vhost_kernel.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using testing::GuestBuffer;
using ::testing::HasSubstr;
using testing::VhostKernel;

constexpr uint64_t kRam = 4 << 20;
constexpr uint64_t kRings = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;
constexpr uint64_t kStatusAt = 0x70;

class KernelVhost : public ::testing::Test {
  protected:
    KernelVhost() {
        kernel_.node(KernelNetClient::kPath);
        kernel_.node(KernelVsockClient::kPath);
        kernel_.offered = kRings | virtio::net::kFeatureMrgRxbuf | virtio::kFeatureEventIdx |
                          virtio::kFeatureAccessPlatform | uint64_t{1} << 26 | uint64_t{1} << 27;
        kernel_.queues = 2;
        kernel_.queue_size = 0x8000;
        tap_ = kernel_.new_fd("tap");
        kernel_.on(TUNSETOFFLOAD, [this](int fd, uintptr_t argument) {
            EXPECT_EQ(fd, tap_);
            offloads_ = static_cast<unsigned>(argument);
            return (offloads_ & 0x60) != 0 && !tap_cuts_udp_ ? -EINVAL : 0;
        });
    }
    void drive(std::unique_ptr<VirtioDevice> device, uint64_t features, uint16_t queues) {
        device_ = std::move(device);
        mmio_ = std::make_unique<VirtioMmio>(*device_, DmaView(*memory_), line_);
        driver_ = std::make_unique<testing::VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
        ASSERT_TRUE(driver_->negotiate(features));
        for (uint16_t i = 0; i < queues; ++i) queues_.push_back(driver_->make_queue(i));
        driver_->driver_ok();
    }
    void unplug() {
        mmio_.reset();
        device_.reset();
    }
    VhostLink::Connector net() {
        return [this]() -> Result<std::unique_ptr<VhostClient>> {
            return std::unique_ptr<VhostClient>(TRY(KernelNetClient::open({tap_}, kernel_)));
        };
    }
    VhostLink::Connector vsock(uint64_t cid) {
        return [this, cid]() -> Result<std::unique_ptr<VhostClient>> {
            return std::unique_ptr<VhostClient>(TRY(KernelVsockClient::open(cid, kernel_)));
        };
    }
    // Why a back end cannot be had; nothing else stays open.
    std::string failure(const VhostLink::Connector& connect) {
        const auto client = connect();
        EXPECT_EQ(kernel_.open_fds().size(), client.ok() ? 2u : 1u);
        return client ? "" : client.error().message();
    }
    // Where the device's memory is that the guest has here.
    uint64_t host_address(GuestPhys place) {
        return reinterpret_cast<uint64_t>(memory_->at_offset(place.value));
    }

    VhostKernel kernel_;
    int tap_ = -1;
    unsigned offloads_ = 0;
    bool tap_cuts_udp_ = false;
    const GuestMemory::Range range_{GuestPhys{0}, kRam};
    std::unique_ptr<GuestMemory> memory_ = GuestMemory::create({&range_, 1}).take_value();
    testing::RecordingLine line_;
    std::unique_ptr<VirtioDevice> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<testing::VirtioDriver> driver_;
    std::vector<testing::GuestQueue> queues_;
};

TEST_F(KernelVhost, MovesACardsFrames) {
    using namespace virtio::net;
    auto link = VhostLink::open(KernelNetClient::kPath, "--network tap=t ", 2, net()).take_value();
    VhostNetOptions options;
    auto card = VhostNet::open(options, std::move(link), *memory_).take_value();
    EXPECT_NE(card->features() & kFeatureMrgRxbuf, 0u);
    EXPECT_EQ(card->features() & kFeatureHostUso, 0u);  // nor does the interface
    drive(std::move(card), kRings | kFeatureMrgRxbuf | kFeatureGuestCsum | kFeatureGuestTso4, 2);
    EXPECT_EQ(offloads_, unsigned{TUN_F_CSUM | TUN_F_TSO4});
    // Of features of its own alone the kernel hears.
    EXPECT_EQ(kernel_.features, kRings | kFeatureMrgRxbuf);
    ASSERT_EQ(kernel_.memory.size(), memory_->pieces().size() + 1);
    EXPECT_EQ(kernel_.memory[0].userspace_addr, host_address(GuestPhys{0}));
    for (uint32_t i = 0; i < 2; ++i) {
        const VhostKernel::Ring& ring = kernel_.rings.at(i);
        ASSERT_EQ(ring.backend, tap_);
        EXPECT_GE(ring.kick, 0);
        EXPECT_GE(ring.call, 0);
        // By addresses of this process, in the memory that was given last.
        const vhost_memory_region& rings = kernel_.memory.back();
        EXPECT_LT(ring.address.desc_user_addr - rings.userspace_addr, rings.memory_size);
        EXPECT_LT(ring.address.used_user_addr - rings.userspace_addr, rings.memory_size);
    }
    EXPECT_NE(kernel_.rings.at(0).address.desc_user_addr,
              kernel_.rings.at(1).address.desc_user_addr);
    // A buffer goes on to the kernel's ring.
    queues_[0].add(std::vector<GuestBuffer>{{driver_->allocator().take(2048), 2048, true}}, true);
    driver_->ring(0);
    virtio::Descriptor descriptor;
    std::memcpy(&descriptor,
                reinterpret_cast<const void*>(kernel_.rings.at(0).address.desc_user_addr),
                sizeof descriptor);
    EXPECT_NE(descriptor.length, 0u);
    driver_->write(kStatusAt, 0);
    EXPECT_EQ(kernel_.rings.at(0).backend, -1);
    EXPECT_EQ(kernel_.rings.at(1).backend, -1);
    unplug();
    EXPECT_EQ(kernel_.open_fds(), std::vector<std::string>{"tap"});
}

TEST_F(KernelVhost, ACardOfSeveralPairsHasSeveralNodes) {
    const int second = kernel_.new_fd("tap");
    kernel_.on(TUNSETOFFLOAD, 0);
    auto client = KernelNetClient::open({tap_, second}, kernel_).take_value();
    EXPECT_NE(client->features() & virtio::net::kFeatureHostUso, 0u);
    const std::array<std::byte, 64> memory{};
    for (uint16_t queue = 0; queue < 4; ++queue) {
        const VhostRing ring{8, 0, memory.data(), memory.data() + queue, memory.data(), 7, 8};
        ASSERT_TRUE(client->start_ring(queue, ring).ok());
        ASSERT_TRUE(client->enable_ring(queue, true).ok());
    }
    constexpr uint32_t kNext = VhostKernel::kRingsOfNode;
    EXPECT_EQ(kernel_.rings.at(0).backend, tap_);
    EXPECT_EQ(kernel_.rings.at(kNext).backend, second);
    EXPECT_EQ(kernel_.rings.at(kNext + 1).address.avail_user_addr,
              reinterpret_cast<uint64_t>(memory.data() + 3));
    ASSERT_TRUE(client->stop_ring(2).ok());
    EXPECT_EQ(kernel_.rings.at(kNext).backend, -1);
    EXPECT_EQ(kernel_.rings.at(kNext + 1).backend, second);
}

TEST_F(KernelVhost, ConnectsSockets) {
    auto link = VhostLink::open(KernelVsockClient::kPath, "--vsock ", 2, vsock(7)).take_value();
    EXPECT_EQ(kernel_.guest_cid, 7u);
    auto device = VhostVsock::open(7, std::move(link), *memory_).take_value();
    drive(std::move(device), kRings | virtio::vsock::kFeatureStream, 3);
    EXPECT_EQ(driver_->config<uint64_t>(0), 7u);
    EXPECT_EQ(kernel_.running, 1);
    EXPECT_GE(kernel_.rings.at(0).kick, 0);
    EXPECT_GE(kernel_.rings.at(1).kick, 0);
    driver_->write(kStatusAt, 0);
    EXPECT_EQ(kernel_.running, 0);
    unplug();
    EXPECT_EQ(kernel_.open_fds(), std::vector<std::string>{"tap"});
}

TEST_F(KernelVhost, WhatFailsIsSaidInALine) {
    for (const unsigned long request :
         std::initializer_list<unsigned long>{VHOST_SET_OWNER, VHOST_GET_FEATURES}) {
        const char* const name =
            request == VHOST_SET_OWNER ? "VHOST_SET_OWNER" : "VHOST_GET_FEATURES";
        kernel_.fail(request, -EIO);
        EXPECT_EQ(failure(net()), std::string("/dev/vhost-net: ") + name + ": Input/output error");
        EXPECT_EQ(failure(vsock(7)),
                  std::string("/dev/vhost-vsock: ") + name + ": Input/output error");
        kernel_.mend();
    }
    EXPECT_THAT(failure(vsock(2)), HasSubstr("VHOST_VSOCK_SET_GUEST_CID: Invalid argument"));
    kernel_.fail(VHOST_VSOCK_SET_GUEST_CID, -EADDRINUSE);
    EXPECT_EQ(failure(vsock(9)), "cid=9: another machine of this host has it");
    kernel_.mend();
    kernel_.node(KernelNetClient::kPath, -EACCES);
    EXPECT_THAT(failure(net()), HasSubstr("/dev/vhost-net: no rights"));
    kernel_.node(KernelNetClient::kPath, -ENOENT);
    EXPECT_THAT(failure(net()), HasSubstr("/dev/vhost-net: there is no such device"));
    kernel_.node(KernelNetClient::kPath);
    kernel_.offered = 0;
    EXPECT_THAT(failure(net()), HasSubstr("only legacy devices"));
}

// While the machine runs: each request that fails makes an error that names it.
TEST_F(KernelVhost, WhatFailsLaterIsSaidToo) {
    auto client = KernelNetClient::open({tap_}, kernel_).take_value();
    const auto says = [&](unsigned long request, const auto& act, const char* name) {
        kernel_.fail(request, -EFAULT);
        const Result<void> done = act();
        ASSERT_FALSE(done.ok()) << name;
        EXPECT_EQ(done.error().message(), std::string(name) + ": Bad address");
        kernel_.mend();
    };
    const auto start = [&] {
        return client->start_ring(0, {8, 0, nullptr, nullptr, nullptr, 1, 1});
    };
    const auto features = [&] { return client->set_features(kRings); };
    const auto memory = [&] { return client->set_memory({}); };
    const auto enable = [&] { return client->enable_ring(0, true); };
    says(VHOST_SET_FEATURES, features, "VHOST_SET_FEATURES");
    says(VHOST_SET_MEM_TABLE, memory, "VHOST_SET_MEM_TABLE");
    says(VHOST_SET_VRING_NUM, start, "VHOST_SET_VRING_NUM");
    says(VHOST_SET_VRING_BASE, start, "VHOST_SET_VRING_BASE");
    says(VHOST_SET_VRING_ADDR, start, "VHOST_SET_VRING_ADDR");
    says(VHOST_SET_VRING_CALL, start, "VHOST_SET_VRING_CALL");
    says(VHOST_SET_VRING_KICK, start, "VHOST_SET_VRING_KICK");
    says(VHOST_NET_SET_BACKEND, enable, "VHOST_NET_SET_BACKEND");
}

}  // namespace
}  // namespace mynah
