#pragma once

// The parts of the USB protocol that hosts and devices share [USB 2.0 9; USB 3.2 9].

#include <cstdint>

namespace mynah::usb {

// The eight bytes of a setup transaction [USB 2.0 9.3].
struct Setup {
    uint8_t request_type;
    uint8_t request;
    uint16_t value;
    uint16_t index;
    uint16_t length;
};
static_assert(sizeof(Setup) == 8);

// bmRequestType.
inline constexpr uint8_t kRequestIn = 0x80;
inline constexpr uint8_t kRequestTypeMask = 0x60;
inline constexpr uint8_t kRequestStandard = 0x00;
inline constexpr uint8_t kRequestClass = 0x20;
inline constexpr uint8_t kRecipientMask = 0x1f;
inline constexpr uint8_t kRecipientDevice = 0;
inline constexpr uint8_t kRecipientInterface = 1;
inline constexpr uint8_t kRecipientEndpoint = 2;
inline constexpr uint8_t kRecipientOther = 3;

// Standard requests [USB 2.0 table 9-4; USB 3.2 table 9-5].
inline constexpr uint8_t kGetStatus = 0;
inline constexpr uint8_t kClearFeature = 1;
inline constexpr uint8_t kSetFeature = 3;
inline constexpr uint8_t kSetAddress = 5;
inline constexpr uint8_t kGetDescriptor = 6;
inline constexpr uint8_t kSetDescriptor = 7;
inline constexpr uint8_t kGetConfiguration = 8;
inline constexpr uint8_t kSetConfiguration = 9;
inline constexpr uint8_t kGetInterface = 10;
inline constexpr uint8_t kSetInterface = 11;
inline constexpr uint8_t kSetSel = 48;
inline constexpr uint8_t kSetIsochDelay = 49;

// Feature selectors [USB 2.0 table 9-6; USB 3.2 table 9-7].
inline constexpr uint16_t kFeatureEndpointHalt = 0;
inline constexpr uint16_t kFeatureFunctionSuspend = 0;  // of an interface
inline constexpr uint16_t kFeatureRemoteWakeup = 1;
inline constexpr uint16_t kFeatureTestMode = 2;
inline constexpr uint16_t kFeatureU1Enable = 48;
inline constexpr uint16_t kFeatureU2Enable = 49;
inline constexpr uint16_t kFeatureLtmEnable = 50;

// Device status [USB 2.0 figure 9-4; USB 3.2 figure 9-4].
inline constexpr uint16_t kStatusSelfPowered = 1 << 0;
inline constexpr uint16_t kStatusRemoteWakeup = 1 << 1;
inline constexpr uint16_t kStatusU1Enable = 1 << 2;
inline constexpr uint16_t kStatusU2Enable = 1 << 3;

// Descriptor types [USB 2.0 table 9-5; USB 3.2 table 9-6].
inline constexpr uint8_t kDescriptorDevice = 1;
inline constexpr uint8_t kDescriptorConfiguration = 2;
inline constexpr uint8_t kDescriptorString = 3;
inline constexpr uint8_t kDescriptorInterface = 4;
inline constexpr uint8_t kDescriptorEndpoint = 5;
inline constexpr uint8_t kDescriptorDeviceQualifier = 6;
inline constexpr uint8_t kDescriptorOtherSpeed = 7;
inline constexpr uint8_t kDescriptorBos = 15;
inline constexpr uint8_t kDescriptorDeviceCapability = 16;
inline constexpr uint8_t kDescriptorHub = 0x29;
inline constexpr uint8_t kDescriptorEndpointCompanion = 0x30;

// Device capabilities in the BOS [USB 3.2 9.6.2].
inline constexpr uint8_t kCapabilityUsb2Extension = 2;
inline constexpr uint8_t kCapabilitySuperSpeed = 3;

// bmAttributes of a configuration.
inline constexpr uint8_t kConfigurationReserved = 0x80;  // always one
inline constexpr uint8_t kConfigurationSelfPowered = 0x40;
inline constexpr uint8_t kConfigurationRemoteWakeup = 0x20;

inline constexpr uint8_t kEndpointIn = 0x80;
inline constexpr uint8_t kEndpointNumber = 0x0f;

inline constexpr uint8_t kClassHid = 3;
inline constexpr uint8_t kClassMassStorage = 8;
inline constexpr uint8_t kClassHub = 9;

}  // namespace mynah::usb
