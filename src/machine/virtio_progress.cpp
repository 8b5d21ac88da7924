#include "machine/virtio_progress.h"

#include <fmt/core.h>

#include <array>
#include <bit>

#include "spec/virtio/device.h"

namespace mynah {
namespace {

using namespace virtio;

// [virtio-1.2 5], as drivers are called.
const char* type_name(uint32_t id) {
    switch (id) {
        case kDeviceNet: return "virtio-net";
        case kDeviceBlock: return "virtio-blk";
        case kDeviceConsole: return "virtio-console";
        case kDeviceEntropy: return "virtio-rng";
        case kDeviceBalloon: return "virtio-balloon";
        case kDeviceScsi: return "virtio-scsi";
        case kDeviceGpu: return "virtio-gpu";
        case kDeviceInput: return "virtio-input";
        case kDeviceVsock: return "virtio-vsock";
        case kDeviceIommu: return "virtio-iommu";
        case kDeviceMem: return "virtio-mem";
        case kDeviceFs: return "virtio-fs";
        case kDevicePmem: return "virtio-pmem";
        default: return nullptr;
    }
}

struct Name {
    unsigned bit;
    const char* name;
};
// [virtio-1.2 6]
constexpr std::array kRingBits{
    Name{24, "NOTIFY_ON_EMPTY"}, Name{27, "ANY_LAYOUT"},  Name{28, "INDIRECT_DESC"},
    Name{29, "EVENT_IDX"},       Name{32, "VERSION_1"},   Name{33, "ACCESS_PLATFORM"},
    Name{34, "RING_PACKED"},     Name{35, "IN_ORDER"},    Name{36, "ORDER_PLATFORM"},
    Name{37, "SR_IOV"},          Name{38, "NOTIFICATION_DATA"}, Name{39, "NOTIF_CONFIG_DATA"},
    Name{40, "RING_RESET"},
};
// [virtio-1.2 5.1.3]
constexpr std::array kNetBits{
    Name{0, "CSUM"},        Name{1, "GUEST_CSUM"}, Name{2, "CTRL_GUEST_OFFLOADS"},
    Name{3, "MTU"},         Name{5, "MAC"},        Name{7, "GUEST_TSO4"},
    Name{8, "GUEST_TSO6"},  Name{9, "GUEST_ECN"},  Name{10, "GUEST_UFO"},
    Name{11, "HOST_TSO4"},  Name{12, "HOST_TSO6"}, Name{13, "HOST_ECN"},
    Name{14, "HOST_UFO"},   Name{15, "MRG_RXBUF"}, Name{16, "STATUS"},
    Name{17, "CTRL_VQ"},    Name{18, "CTRL_RX"},   Name{19, "CTRL_VLAN"},
    Name{20, "CTRL_RX_EXTRA"}, Name{21, "GUEST_ANNOUNCE"}, Name{22, "MQ"},
    Name{23, "CTRL_MAC_ADDR"}, Name{54, "GUEST_USO4"}, Name{55, "GUEST_USO6"},
    Name{56, "HOST_USO"},   Name{57, "HASH_REPORT"}, Name{59, "GUEST_HDRLEN"},
    Name{60, "RSS"},        Name{61, "RSC_EXT"},   Name{62, "STANDBY"},
    Name{63, "SPEED_DUPLEX"},
};
// [virtio-1.2 5.2.3]
constexpr std::array kBlockBits{
    Name{1, "SIZE_MAX"},  Name{2, "SEG_MAX"},   Name{4, "GEOMETRY"},   Name{5, "RO"},
    Name{6, "BLK_SIZE"},  Name{9, "FLUSH"},     Name{10, "TOPOLOGY"},  Name{11, "CONFIG_WCE"},
    Name{12, "MQ"},       Name{13, "DISCARD"},  Name{14, "WRITE_ZEROES"}, Name{15, "LIFETIME"},
    Name{16, "SECURE_ERASE"},
};

template <size_t kCount>
const char* find(const std::array<Name, kCount>& names, unsigned bit) {
    for (const Name& each : names) {
        if (each.bit == bit) return each.name;
    }
    return nullptr;
}

std::string feature_names(uint32_t device, uint64_t bits) {
    std::string text;
    for (; bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(bits));
        const char* name = find(kRingBits, bit);
        if (name == nullptr && device == kDeviceNet) name = find(kNetBits, bit);
        if (name == nullptr && device == kDeviceBlock) name = find(kBlockBits, bit);
        if (!text.empty()) text += ' ';
        text += name != nullptr ? std::string(name) : fmt::format("bit {}", bit);
    }
    return text;
}

std::string status_names(uint32_t status) {
    constexpr std::array kBits{
        Name{0, "ACKNOWLEDGE"}, Name{1, "DRIVER"},       Name{2, "DRIVER_OK"},
        Name{3, "FEATURES_OK"}, Name{6, "DEVICE_NEEDS_RESET"}, Name{7, "FAILED"},
    };
    std::string text;
    for (const Name& each : kBits) {
        if ((status >> each.bit & 1) != 0) text += (text.empty() ? "" : " ") + std::string(each.name);
    }
    return text.empty() ? fmt::format("{:#x}", status) : fmt::format("{:#x} ({})", status, text);
}

VirtioProgress::Stage stage_of(const VirtioHistory::Values& values) {
    using Stage = VirtioProgress::Stage;
    const uint32_t status = values.status;
    // What the driver says comes before what the device says of it.
    if ((status & kStatusFailed) != 0) return Stage::kGaveUp;
    if ((status & kStatusNeedsReset) != 0) return Stage::kBroken;
    if ((status & kStatusDriverOk) != 0) return Stage::kRunning;
    if ((status & kStatusFeaturesOk) != 0) return Stage::kAgreed;
    if ((status & kStatusDriver) != 0)
        return values.refusals != 0 ? Stage::kRefused : Stage::kNegotiating;
    if ((values.before & kStatusDriverOk) != 0) return Stage::kLetGo;
    return ((status | values.before) & kStatusAcknowledge) != 0 ? Stage::kNoDriver
                                                                : Stage::kUntouched;
}

}  // namespace

VirtioProgress progress_of(const VirtioHistory::Values& values) {
    const uint32_t id = values.device_id;
    const char* const type = type_name(id);
    const auto names = [id](uint64_t bits) { return feature_names(id, bits); };
    const uint64_t unknown = values.chosen & ~values.offered;
    VirtioProgress progress;
    progress.stage = stage_of(values);
    progress.entropy = id == kDeviceEntropy;
    progress.legacy = values.legacy;
    progress.type = type != nullptr ? type : fmt::format("virtio device of type {}", id);
    progress.status = status_names(values.status);
    progress.wrote = values.chosen != 0 || values.refusals != 0;
    progress.offered = names(values.offered);
    progress.chosen = names(values.chosen);
    progress.unknown = names(unknown);
    progress.missing = names(values.needed & ~values.chosen);
    progress.withheld = names(values.withheld & ~values.offered);
    progress.lacking = names(unknown & values.withheld);
    if (values.bad_queue != 0) progress.bad_queue = values.bad_queue - 1;
    return progress;
}

}  // namespace mynah
