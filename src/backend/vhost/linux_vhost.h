#pragma once

// The kernel's interface to vhost and vDPA devices [linux/vhost.h]. What it includes has a function
// that is no C++, but for who says that it is not wanted.
#ifndef VIRTIO_RING_NO_LEGACY
#define VIRTIO_RING_NO_LEGACY
#endif
#include <linux/vhost.h>
#include <linux/virtio_vsock.h>

#include "base/bits.h"

// What of virtio a back end must know beside its rings, by the kernel's names [virtio-1.2 2.1, 6].
namespace mynah::vhost {

inline constexpr uint64_t kVersion1 = bit(VIRTIO_F_VERSION_1);
inline constexpr uint64_t kAccessPlatform = bit(VIRTIO_F_ACCESS_PLATFORM);
inline constexpr uint64_t kIndirectDesc = bit(VIRTIO_RING_F_INDIRECT_DESC);

}  // namespace mynah::vhost
