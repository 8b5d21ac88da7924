#include "firmware/linux_boot_params.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "firmware/low_memory.h"

namespace mynah {

namespace layout = linux_boot::boot_params;

Result<void> write_command_line(GuestMemory& memory, const std::string& command_line,
                                uint64_t limit) {
    limit = std::min(limit, low_memory::kCommandLineLimit - 1);
    if (command_line.size() > limit) {
        return Error(fmt::format("--cmdline: {} bytes long; this kernel takes at most {}",
                                 command_line.size(), limit));
    }
    const std::span text(command_line.c_str(), command_line.size() + 1);
    if (!memory.write(GuestPhys(low_memory::kCommandLine), std::as_bytes(text))) {
        return Error("--memory: too little for the kernel's command line");
    }
    return {};
}

Result<void> write_boot_params(GuestMemory& memory, const BzImage& image, const KernelBoot& boot,
                               const LoadedInitrd& initrd, GuestPhys code_address) {
    linux_boot::SetupHeader header = image.header();
    TRY(write_command_line(memory, boot.command_line, header.cmdline_size));

    header.type_of_loader = linux_boot::kLoaderUndefined;
    // No address randomisation was done by whoever loaded the kernel; the kernel's own unpacker
    // sets the bit again if it does it.
    header.loadflags &= static_cast<uint8_t>(~linux_boot::loadflags::kKaslr);
    header.code32_start = static_cast<uint32_t>(code_address.value);
    header.ramdisk_image = static_cast<uint32_t>(initrd.address.value);
    header.ramdisk_size = static_cast<uint32_t>(initrd.size);
    header.cmd_line_ptr = static_cast<uint32_t>(low_memory::kCommandLine);
    header.setup_data = 0;

    std::array<std::byte, layout::kSize> page{};
    std::memcpy(page.data() + linux_boot::kSetupHeaderOffset, &header, image.header_size());
    store_unaligned(page.data() + layout::kAcpiRsdpAddress, boot.rsdp.value);
    const size_t count = std::min<size_t>(boot.memory_map.size(), layout::kE820Capacity);
    page[layout::kE820Count] = static_cast<std::byte>(count);
    for (size_t i = 0; i < count; ++i) {
        std::byte* entry = page.data() + layout::kE820Table + i * layout::kE820EntrySize;
        store_unaligned(entry, boot.memory_map[i].start);
        store_unaligned(entry + 8, boot.memory_map[i].size);
        store_unaligned(entry + 16, boot.memory_map[i].type);
    }
    if (!memory.write(GuestPhys(low_memory::kBootParams), page)) {
        return Error("--memory: too little for the kernel's boot parameters");
    }
    return {};
}

}  // namespace mynah
