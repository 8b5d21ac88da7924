#pragma once

// Layouts of the Linux/x86 boot protocol [linux-boot "The Real-Mode Kernel Header", "Zero Page"].

#include <cstddef>
#include <cstdint>

namespace mynah::linux_boot {

inline constexpr uint64_t kSetupHeaderOffset = 0x1f1;  // in the file and in boot_params
inline constexpr uint32_t kHdrS = 0x53726448;
inline constexpr uint64_t kSector = 512;
inline constexpr uint16_t kOldestProtocol = 0x020c;  // 2.12: xloadflags
inline constexpr uint64_t kEntry64Offset = 0x200;    // from the loaded protected-mode code

#pragma pack(push, 1)
struct SetupHeader {
    uint8_t setup_sects;
    uint16_t root_flags;
    uint32_t syssize;  // protected-mode code in 16-byte units
    uint16_t ram_size;
    uint16_t vid_mode;
    uint16_t root_dev;
    uint16_t boot_flag;  // 0xaa55
    uint16_t jump;       // second byte: distance from 0x202 to the end of the header
    uint32_t header;     // "HdrS"
    uint16_t version;
    uint32_t realmode_swtch;
    uint16_t start_sys_seg;
    uint16_t kernel_version;
    uint8_t type_of_loader;
    uint8_t loadflags;
    uint16_t setup_move_size;
    uint32_t code32_start;
    uint32_t ramdisk_image;
    uint32_t ramdisk_size;
    uint32_t bootsect_kludge;
    uint16_t heap_end_ptr;
    uint8_t ext_loader_ver;
    uint8_t ext_loader_type;
    uint32_t cmd_line_ptr;
    uint32_t initrd_addr_max;  // last byte an initrd may use
    uint32_t kernel_alignment;
    uint8_t relocatable_kernel;
    uint8_t min_alignment;
    uint16_t xloadflags;
    uint32_t cmdline_size;  // without terminator
    uint32_t hardware_subarch;
    uint64_t hardware_subarch_data;
    uint32_t payload_offset;  // from the start of the protected-mode code
    uint32_t payload_length;
    uint64_t setup_data;
    uint64_t pref_address;
    uint32_t init_size;  // bytes of memory from the load address that the kernel needs
    uint32_t handover_offset;
    uint32_t kernel_info_offset;
};
#pragma pack(pop)
static_assert(sizeof(SetupHeader) == 0x26c - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, header) == 0x202 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, payload_offset) == 0x248 - kSetupHeaderOffset);
static_assert(offsetof(SetupHeader, init_size) == 0x260 - kSetupHeaderOffset);

namespace loadflags {
inline constexpr uint8_t kLoadedHigh = 1u << 0, kKaslr = 1u << 1, kQuiet = 1u << 5,
                         kCanUseHeap = 1u << 7;
}
namespace xloadflags {
inline constexpr uint16_t kKernel64 = 1u << 0;
}
inline constexpr uint8_t kLoaderUndefined = 0xff;

// Fields of boot_params outside the setup header, by offset.
namespace boot_params {
inline constexpr uint64_t kSize = 4096;
inline constexpr uint64_t kAcpiRsdpAddress = 0x070;  // 8 bytes
inline constexpr uint64_t kE820Count = 0x1e8;        // 1 byte
inline constexpr uint64_t kE820Table = 0x2d0;        // entries of 20 bytes
inline constexpr uint64_t kE820EntrySize = 20;
inline constexpr unsigned kE820Capacity = 128;
}  // namespace boot_params

}  // namespace mynah::linux_boot
