#include "firmware/pvh_loader.h"

#include <fmt/core.h>

#include "firmware/initrd.h"
#include "firmware/linux_boot_params.h"
#include "firmware/low_memory.h"

namespace mynah {
namespace {

constexpr uint32_t kNotePhys32Entry = 18;     // XEN_ELFNOTE_PHYS32_ENTRY [xen-elfnote]
constexpr uint32_t kStartMagic = 0x336ec578;  // "xEn3" with the top bit of the E set
constexpr uint64_t kLongestCommandLine =
    2047;  // COMMAND_LINE_SIZE of Linux on x86, less the terminator
constexpr uint64_t kInitrdLastByte = 0x7fffffff;

// [PVH]
struct StartInfo {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map;  // version 1 from here on
    uint32_t memory_map_count;
    uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct Module {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};

struct MapEntry {
    uint64_t address;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};
static_assert(sizeof(MapEntry) == 24);

constexpr uint64_t kModuleList = low_memory::kStartInfo + 0x100;
constexpr uint64_t kMapTable = low_memory::kStartInfo + 0x200;
constexpr uint64_t kMapCapacity = (low_memory::kStartInfoEnd - kMapTable) / sizeof(MapEntry);

bool write_start_info(GuestMemory& memory, const KernelBoot& boot, const LoadedInitrd& initrd) {
    StartInfo info{};
    info.magic = kStartMagic;
    info.version = 1;
    info.command_line = low_memory::kCommandLine;
    info.rsdp = boot.rsdp.value;
    if (initrd.size != 0) {
        info.module_count = 1;
        info.modules = kModuleList;
        const Module module{initrd.address.value, initrd.size, 0, 0};
        if (!memory.store(GuestPhys(kModuleList), module)) return false;
    }
    info.memory_map = kMapTable;
    for (const E820Entry& entry : boot.memory_map) {
        if (info.memory_map_count == kMapCapacity) break;
        const MapEntry out{entry.start, entry.size, entry.type, 0};
        if (!memory.store(GuestPhys(kMapTable + info.memory_map_count * sizeof out), out))
            return false;
        ++info.memory_map_count;
    }
    return memory.store(GuestPhys(low_memory::kStartInfo), info);
}

}  // namespace

Result<EntryPoint> load_pvh(GuestMemory& memory, const ElfImage& image, const KernelBoot& boot) {
    const auto entry = image.xen_note(kNotePhys32Entry);
    if (!entry) {
        return Error(
            boot.kernel.origin +
            ": an ELF file without a PVH entry (note XEN_ELFNOTE_PHYS32_ENTRY); expected a "
            "Linux bzImage, or a vmlinux built with CONFIG_PVH");
    }
    const GuestPhys address(*entry);
    if (address.value < low_memory::kMegabyte || address.value > UINT32_MAX ||
        memory.host(address, 1) == nullptr) {
        return Error(fmt::format("{}: its PVH entry {:#x} is not in guest memory",
                                 boot.kernel.origin, address.value));
    }
    const GuestPhys kernel_end = TRY(image.load(memory));
    const LoadedInitrd initrd =
        TRY(load_initrd(memory, boot.initrd, kernel_end, GuestPhys(kInitrdLastByte)));
    TRY(write_command_line(memory, boot.command_line, kLongestCommandLine));
    if (!write_start_info(memory, boot, initrd) ||
        !write_entry_tables(memory, EntryPoint::Kind::kPvh)) {
        return Error("--memory: too little for the kernel's start information");
    }
    return EntryPoint{EntryPoint::Kind::kPvh, address, GuestPhys(low_memory::kStartInfo)};
}

}  // namespace mynah
