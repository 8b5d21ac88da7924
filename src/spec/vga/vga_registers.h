#pragma once

#include <cstdint>

// Ports, indices and bits of an IBM VGA in the order of its manual [VGA], and of the PCI device
// that carries it.
namespace mynah::vga {

// Where a PC has it.
inline constexpr uint16_t kFirstPort = 0x3b0;
inline constexpr unsigned kPorts = 0x30;  // to 3DFh
inline constexpr uint32_t kWindowStart = 0xa0000, kWindowBytes = 0x20000;

// Ports.
inline constexpr uint16_t kCrtcIndexMono = 0x3b4, kCrtcDataMono = 0x3b5, kStatus1Mono = 0x3ba;
inline constexpr uint16_t kAttributeIndex = 0x3c0, kAttributeData = 0x3c1, kMiscWrite = 0x3c2,
                          kEnable = 0x3c3, kSequencerIndex = 0x3c4, kSequencerData = 0x3c5,
                          kDacMask = 0x3c6, kDacReadIndex = 0x3c7, kDacWriteIndex = 0x3c8,
                          kDacData = 0x3c9, kFeatureRead = 0x3ca, kMiscRead = 0x3cc,
                          kGraphicsIndex = 0x3ce, kGraphicsData = 0x3cf;
inline constexpr uint16_t kCrtcIndexColour = 0x3d4, kCrtcDataColour = 0x3d5, kStatus1Colour = 0x3da;

namespace misc {  // miscellaneous output
inline constexpr uint8_t kColour = 0x01, kRamEnable = 0x02, kClock28MHz = 0x04, kClockSelect = 0x0c,
                         kOddEvenLowPage = 0x20;
}
namespace status1 {  // input status 1
inline constexpr uint8_t kDisplayOff = 0x01, kVerticalRetrace = 0x08;
}

namespace sequencer {
inline constexpr unsigned kReset = 0, kClocking = 1, kMapMask = 2, kCharacterMap = 3,
                          kMemoryMode = 4, kRegisters = 5;
inline constexpr uint8_t kRunning = 0x03;                                             // reset
inline constexpr uint8_t kEightDots = 0x01, kHalfDotClock = 0x08, kScreenOff = 0x20;  // clocking
inline constexpr uint8_t kNotOddEven = 0x04, kChain4 = 0x08;                          // memory mode
inline constexpr uint8_t kWritable[kRegisters] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
}  // namespace sequencer

namespace crtc {
inline constexpr unsigned kHorizontalTotal = 0x00, kHorizontalDisplayEnd = 0x01, kOverflow = 0x07,
                          kPresetRowScan = 0x08, kMaximumScanLine = 0x09, kCursorStart = 0x0a,
                          kCursorEnd = 0x0b, kStartHigh = 0x0c, kStartLow = 0x0d,
                          kCursorHigh = 0x0e, kCursorLow = 0x0f, kVerticalTotal = 0x06,
                          kRetraceStart = 0x10, kRetraceEnd = 0x11, kVerticalDisplayEnd = 0x12,
                          kOffset = 0x13, kUnderline = 0x14, kModeControl = 0x17,
                          kLineCompare = 0x18, kRegisters = 0x19;
inline constexpr uint8_t kCursorOff = 0x20;                      // cursor start
inline constexpr uint8_t kProtect = 0x80;                        // retrace end
inline constexpr uint8_t kDoubleScan = 0x80, kScanLines = 0x1f;  // maximum scan line
inline constexpr uint8_t kDoubleWord = 0x40;                     // underline
inline constexpr uint8_t kNotRowScanA13 = 0x01, kNotRowScanA14 = 0x02, kWrapA15 = 0x20,
                         kByteMode = 0x40;         // mode control
inline constexpr uint8_t kLineCompareBit8 = 0x10;  // overflow; writable in spite of kProtect
}  // namespace crtc

namespace graphics {
inline constexpr unsigned kSetReset = 0, kEnableSetReset = 1, kColourCompare = 2, kRotate = 3,
                          kReadMap = 4, kMode = 5, kMiscellaneous = 6, kColourDontCare = 7,
                          kBitMask = 8, kRegisters = 9;
inline constexpr uint8_t kWriteMode = 0x03, kReadCompare = 0x08, kHostOddEven = 0x10,
                         kInterleave = 0x20, kShift256 = 0x40;        // mode
inline constexpr uint8_t kGraphicsMode = 0x01, kChainOddEven = 0x02;  // miscellaneous
inline constexpr unsigned kMapShift = 2;                              // miscellaneous: memory map
inline constexpr uint8_t kWritable[kRegisters] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                                  0x7b, 0x0f, 0x0f, 0xff};
}  // namespace graphics

namespace attribute {
inline constexpr unsigned kPalette = 0x00, kModeControl = 0x10, kOverscan = 0x11,
                          kPlaneEnable = 0x12, kPanning = 0x13, kColourSelect = 0x14,
                          kRegisters = 0x15;
inline constexpr uint8_t kVideoEnable = 0x20;  // index: the palette is the display's
inline constexpr uint8_t kGraphics = 0x01, kMono = 0x02, kLineGraphics = 0x04, kBlink = 0x08,
                         kPanningCompatible = 0x20, kPalette54 = 0x80;  // mode control
inline constexpr uint8_t kWritable(unsigned index) {
    constexpr uint8_t kHigh[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};
    return index < kModeControl ? 0x3f : kHigh[index - kModeControl];
}
}  // namespace attribute

// What the PCI function says it is: the device the operating systems' drivers know.
inline constexpr uint16_t kVendor = 0x1234, kDevice = 0x1111, kSubsystemVendor = 0x1af4,
                          kSubsystem = 0x1100;
inline constexpr uint32_t kClass = 0x030000;  // VGA compatible controller
inline constexpr uint8_t kRevision = 2;       // with EDID

// BAR 2: registers in memory.
inline constexpr unsigned kRegisterBytes = 0x1000;
inline constexpr unsigned kEdidOffset = 0, kEdidBytes = 0x400, kVgaOffset = 0x400,
                          kVgaBytes = 0x20,  // ports 3C0h to 3DFh
    kDispiOffset = 0x500, kDispiBytes = 0x16, kExtensionOffset = 0x600, kExtensionBytes = 8;
inline constexpr uint32_t kLittleEndian = 0x1e1e1e1e, kBigEndian = 0xbebebebe;

}  // namespace mynah::vga
