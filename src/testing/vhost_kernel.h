#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <vector>

#include "backend/vhost/linux_vhost.h"
#include "spec/virtio/device.h"
#include "testing/scripted_system_calls.h"

namespace mynah::testing {

// The vhost part of a host's kernel: a vhost-vdpa node, and the nodes of vhost-net and vhost-vsock.
// It answers as the kernel does, with the errors of requests in the wrong order, and writes down
// what it is given: memory, rings, eventfds. Rings are not run.
class VhostKernel : public ScriptedSystemCalls {
  public:
    struct Ring {
        vhost_vring_state size{}, base{};
        vhost_vring_addr address{};
        int kick = -1, call = -1, backend = -1;
        bool enabled = false;
    };

    // What it is.
    uint32_t device_id = virtio::kDeviceBlock;
    uint64_t offered =
        virtio::kFeatureVersion1 | virtio::kFeatureAccessPlatform | virtio::kFeatureIndirectDesc;
    uint64_t back_end_offered = 0x16;  // messages of version 2, batches, suspension
    uint32_t queues = 4;
    uint16_t queue_size = 128;
    std::vector<uint8_t> config = std::vector<uint8_t>(60);
    vhost_vdpa_iova_range addresses{0, ~uint64_t{0}};
    // Has the device refuse features, by not keeping FEATURES_OK.
    bool refuses_features = false;
    // A request fails from here on, or the writing of messages (0).
    void fail(unsigned long request, int error) { failures_[request] = error; }
    void mend() { failures_.clear(); }

    // What it was told.
    bool owned() const { return !owners_.empty(); }
    bool suspended = false;
    uint64_t features = 0, back_end_features = 0, guest_cid = 0;
    uint8_t status = 0;
    int running = 0, config_call = -1;
    // By index; those of the second node that somebody owns begin at kRingsOfNode.
    static constexpr uint32_t kRingsOfNode = 16;
    std::map<uint32_t, Ring> rings;
    std::map<uint64_t, vhost_iotlb_msg> mappings;
    std::vector<vhost_memory_region> memory;
    unsigned batches = 0;
    bool in_batch = false;

    int ioctl(int fd, unsigned long request, uintptr_t argument) override {
        if (const int known = ScriptedSystemCalls::ioctl(fd, request, argument); known != -ENOTTY)
            return known;
        const auto failing = failures_.find(request);
        if (failing != failures_.end()) return failing->second;
        if (request == VHOST_SET_OWNER) return owners_.insert(fd).second ? 0 : -EBUSY;
        const int result = device(fd, request, reinterpret_cast<void*>(argument));
        return result != -ENOTTY ? result : ring(fd, request, reinterpret_cast<void*>(argument));
    }
    using SystemCalls::ioctl;
    int close(int fd) override {
        const int result = ScriptedSystemCalls::close(fd);
        if (owners_.erase(fd) == 1) {
            mappings.clear();
            memory.clear();
            reset();
        }
        return result;
    }
    int64_t write(int fd, const void* from, size_t bytes) override {
        const int64_t written = ScriptedSystemCalls::write(fd, from, bytes);
        if (written < 0) return written;
        if (const auto failing = failures_.find(0); failing != failures_.end())
            return failing->second;
        vhost_msg_v2 message;
        if (bytes != sizeof message) return -EINVAL;
        std::memcpy(&message, from, bytes);
        if (message.type != VHOST_IOTLB_MSG_V2 || (back_end_features & 2) == 0) return -EINVAL;
        return iotlb(message.iotlb) < 0 ? -EINVAL : written;
    }

  private:
    template <typename T>
    static T get(const void* argument) {
        T value;
        std::memcpy(&value, argument, sizeof value);
        return value;
    }
    template <typename T>
    static int put(void* argument, T value) {
        std::memcpy(argument, &value, sizeof value);
        return 0;
    }

    void reset() {
        status = 0;
        features = 0;
        suspended = false;
        for (auto& [index, ring] : rings) ring = Ring{};
    }

    int device(int fd, unsigned long request, void* argument) {
        switch (request) {
            case VHOST_VDPA_GET_DEVICE_ID:
                return put(argument, device_id);
            case VHOST_GET_FEATURES:
                return put(argument, offered);
            case VHOST_SET_FEATURES: {
                const auto bits = get<uint64_t>(argument);
                if ((status & virtio::kStatusFeaturesOk) != 0) return -EBUSY;
                if ((bits & ~offered) != 0) return -EOPNOTSUPP;
                features = bits;
                return 0;
            }
            case VHOST_GET_BACKEND_FEATURES:
                return put(argument, back_end_offered);
            case VHOST_SET_BACKEND_FEATURES:
                back_end_features = get<uint64_t>(argument);
                return (back_end_features & ~back_end_offered) != 0 ? -EOPNOTSUPP : 0;
            case VHOST_VDPA_GET_STATUS:
                return put(argument, status);
            case VHOST_VDPA_SET_STATUS:
                return set_status(get<uint8_t>(argument));
            case VHOST_VDPA_GET_CONFIG_SIZE:
                return put(argument, static_cast<uint32_t>(config.size()));
            case VHOST_VDPA_GET_CONFIG:
            case VHOST_VDPA_SET_CONFIG:
                return access_config(request, static_cast<uint8_t*>(argument));
            case VHOST_VDPA_GET_VQS_COUNT:
                return put(argument, queues);
            case VHOST_VDPA_GET_VRING_NUM:
                return put(argument, queue_size);
            case VHOST_VDPA_GET_IOVA_RANGE:
                return put(argument, addresses);
            case VHOST_VDPA_SET_CONFIG_CALL:
                config_call = get<int>(argument);
                return 0;
            case VHOST_VDPA_SUSPEND:
                suspended = true;
                return (back_end_features & 16) != 0 ? 0 : -EOPNOTSUPP;
            case VHOST_SET_MEM_TABLE:
                return set_memory(fd, static_cast<const uint8_t*>(argument));
            case VHOST_VSOCK_SET_GUEST_CID:
                guest_cid = get<uint64_t>(argument);
                return guest_cid < 3 ? -EINVAL : 0;
            case VHOST_VSOCK_SET_RUNNING:
                running = get<int>(argument);
                return 0;
            default:
                return -ENOTTY;
        }
    }

    int set_status(uint8_t value) {
        if (value == 0) {
            reset();
            return 0;
        }
        if ((status & ~value) != 0) return -EINVAL;
        if ((value & virtio::kStatusFeaturesOk) != 0 &&
            (refuses_features || (features & virtio::kFeatureAccessPlatform) == 0)) {
            value = static_cast<uint8_t>(value & ~virtio::kStatusFeaturesOk);
        }
        status = value;
        return 0;
    }

    int access_config(unsigned long request, uint8_t* argument) {
        const auto header = get<vhost_vdpa_config>(argument);
        if (header.len == 0) return -EINVAL;
        if (header.len > config.size() || header.off > config.size() - header.len) return -E2BIG;
        uint8_t* const content = argument + sizeof header;
        if (request == VHOST_VDPA_GET_CONFIG)
            std::memcpy(content, config.data() + header.off, header.len);
        else
            std::memcpy(config.data() + header.off, content, header.len);
        return 0;
    }

    int set_memory(int fd, const uint8_t* argument) {
        if (owners_.count(fd) == 0) return -EPERM;
        const auto header = get<vhost_memory>(argument);
        memory.resize(header.nregions);
        std::memcpy(memory.data(), argument + sizeof header,
                    memory.size() * sizeof(vhost_memory_region));
        return 0;
    }

    int ring(int fd, unsigned long request, void* argument) {
        const auto index = get<uint32_t>(argument);
        if (index >= queues) return -ENOBUFS;
        Ring& ring = rings[index + kRingsOfNode * place_of(fd)];
        switch (request) {
            case VHOST_SET_VRING_NUM:
                ring.size = get<vhost_vring_state>(argument);
                return ring.size.num > queue_size ? -EINVAL : 0;
            case VHOST_SET_VRING_BASE:
                ring.base = get<vhost_vring_state>(argument);
                return 0;
            case VHOST_GET_VRING_BASE:
                return put(argument, ring.base);
            case VHOST_SET_VRING_ADDR:
                ring.address = get<vhost_vring_addr>(argument);
                return 0;
            case VHOST_SET_VRING_KICK:
                ring.kick = get<vhost_vring_file>(argument).fd;
                return 0;
            case VHOST_SET_VRING_CALL:
                ring.call = get<vhost_vring_file>(argument).fd;
                return 0;
            case VHOST_NET_SET_BACKEND:
                ring.backend = get<vhost_vring_file>(argument).fd;
                return 0;
            case VHOST_VDPA_SET_VRING_ENABLE:
                ring.enabled = get<vhost_vring_state>(argument).num == 1;
                return 0;
            default:
                return -ENOTTY;
        }
    }

    int iotlb(const vhost_iotlb_msg& what) {
        switch (what.type) {
            case VHOST_IOTLB_BATCH_BEGIN:
                in_batch = true;
                ++batches;
                return 0;
            case VHOST_IOTLB_BATCH_END:
                in_batch = false;
                return 0;
            case VHOST_IOTLB_UPDATE:
                return mappings.emplace(what.iova, what).second ? 0 : -EEXIST;
            case VHOST_IOTLB_INVALIDATE:
                return mappings.erase(what.iova) == 1 ? 0 : -ENOENT;
            default:
                return -EINVAL;
        }
    }

    uint32_t place_of(int fd) const {
        return static_cast<uint32_t>(std::distance(owners_.begin(), owners_.find(fd)));
    }

    std::set<int> owners_;
    std::map<unsigned long, int> failures_;
};

}  // namespace mynah::testing
