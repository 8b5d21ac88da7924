#pragma once

#include <cstdint>

#include "base/bits.h"

// What all virtio devices share, whatever the transport. [virtio-1.2] is "Virtual I/O Device
// (VIRTIO) Version 1.2", OASIS Committee Specification 01, 1 July 2022.
namespace mynah::virtio {

// Device types [virtio-1.2 5].
inline constexpr uint32_t kDeviceNet = 1;
inline constexpr uint32_t kDeviceBlock = 2;
inline constexpr uint32_t kDeviceConsole = 3;
inline constexpr uint32_t kDeviceEntropy = 4;
inline constexpr uint32_t kDeviceBalloon = 5;
inline constexpr uint32_t kDeviceScsi = 8;
inline constexpr uint32_t kDeviceGpu = 16;
inline constexpr uint32_t kDeviceInput = 18;
inline constexpr uint32_t kDeviceVsock = 19;
inline constexpr uint32_t kDeviceIommu = 23;
inline constexpr uint32_t kDeviceFs = 26;

// The device status field [virtio-1.2 2.1].
inline constexpr uint32_t kStatusAcknowledge = 1;
inline constexpr uint32_t kStatusDriver = 2;
inline constexpr uint32_t kStatusDriverOk = 4;
inline constexpr uint32_t kStatusFeaturesOk = 8;
inline constexpr uint32_t kStatusNeedsReset = 64;
inline constexpr uint32_t kStatusFailed = 128;

// Feature bits that belong to no device type [virtio-1.2 6].
// Of legacy devices: requests need not lie in buffers of a certain shape [virtio-1.2 6.3].
inline constexpr uint64_t kFeatureAnyLayout = bit(27);
inline constexpr uint64_t kFeatureIndirectDesc = bit(28);
inline constexpr uint64_t kFeatureEventIdx = bit(29);
inline constexpr uint64_t kFeatureVersion1 = bit(32);
inline constexpr uint64_t kFeatureAccessPlatform = bit(33);
inline constexpr uint64_t kFeatureRingPacked = bit(34);
inline constexpr uint64_t kFeatureInOrder = bit(35);
inline constexpr uint64_t kFeatureNotificationData = bit(38);
inline constexpr uint64_t kFeatureRingReset = bit(40);

}  // namespace mynah::virtio
