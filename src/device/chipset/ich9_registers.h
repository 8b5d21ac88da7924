#pragma once

#include <cstdint>

// Registers of the 82801I (ICH9): LPC bridge, chipset configuration, power management [ICH9].
namespace mynah::ich9 {

inline constexpr uint16_t kVendor = 0x8086, kLpcDevice = 0x2918;
inline constexpr uint16_t kFirstRootPortDevice = 0x2940;  // port n: 2940h + 2n
inline constexpr uint8_t kRevision = 0x02;
inline constexpr uint32_t kLpcClass = 0x060100;       // ISA bridge
inline constexpr uint32_t kRootPortClass = 0x060400;  // PCI-to-PCI bridge

// Configuration space of the LPC bridge, device 31 function 0 [ICH9 13.1].
inline constexpr unsigned kPmBase = 0x40, kAcpiControl = 0x44, kGpioBase = 0x48,
                          kGpioControl = 0x4c, kPirqA = 0x60, kSerialIrq = 0x64, kPirqE = 0x68,
                          kIoDecode = 0x80, kIoEnables = 0x82, kGenericDecode1 = 0x84,
                          kGenPmCon1 = 0xa0, kGenPmCon2 = 0xa2, kGenPmCon3 = 0xa4,
                          kGenPmConLock = 0xa6, kGpioRouting = 0xb8, kBiosControl = 0xdc,
                          kRootComplexBase = 0xf0;
inline constexpr uint32_t kPmBaseMask = 0xff80, kIoSpace = 1;
inline constexpr uint8_t kAcpiEnable = 1u << 7;
inline constexpr uint16_t kSmiLock = 1u << 4;  // in GEN_PMCON_1
inline constexpr uint32_t kRootComplexMask = 0xffffc000, kRootComplexEnable = 1;

namespace pirq {  // [ICH9 13.1.13]
inline constexpr uint8_t kNotRouted = 1u << 7, kIrq = 0x0f, kWritable = kNotRouted | kIrq;
inline constexpr unsigned kCount = 8;
// Requests that a PIRQ may become: 3 to 7, 9 to 12, 14, 15.
inline constexpr uint16_t kRoutable = 0xdef8;
inline constexpr uint32_t kFirstGsi = 16;
}  // namespace pirq

namespace root_complex {  // chipset configuration registers, memory at RCBA [ICH9 10.1]
inline constexpr uint64_t kBytes = 0x4000;
// Which PIRQ each pin of devices 25 to 31 is wired to: a nibble for each pin.
inline constexpr uint64_t kDevice31Route = 0x3140, kDevice30Route = 0x3142, kDevice29Route = 0x3144,
                          kDevice28Route = 0x3146, kDevice27Route = 0x3148, kDevice26Route = 0x314c,
                          kDevice25Route = 0x3150;
inline constexpr uint16_t kRouteReset = 0x3210;
inline constexpr unsigned kFirstRoutedDevice = 25;
inline constexpr uint64_t kGeneralControl = 0x3410;  // GCS
inline constexpr uint32_t kNoReboot = 1u << 5;
}  // namespace root_complex

namespace pm {  // the block at PMBASE [ICH9 13.8.3]
inline constexpr uint64_t kBytes = 128;
inline constexpr unsigned kPm1Event = 0x00, kPm1Control = 0x04, kTimer = 0x08, kFixedBytes = 0x0c,
                          kGpe0Status = 0x20, kGpe0Enable = 0x28, kGpe0Bytes = 16,
                          kSmiEnable = 0x30, kSmiStatus = 0x34;
inline constexpr uint32_t kSmiGlobal = 1u << 0, kSmiEndOfSmi = 1u << 1, kSmiApm = 1u << 5;
inline constexpr uint32_t kSmiEnableWritable = 0x0007e03f;
// Where the firmwares that we run put it, and what the FADT says.
inline constexpr uint16_t kUsualBase = 0x600;
}  // namespace pm

inline constexpr uint16_t kApmControlPort = 0xb2;  // and the status port behind it [ICH9 13.7.1]

}  // namespace mynah::ich9
