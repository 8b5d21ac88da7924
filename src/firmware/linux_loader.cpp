#include "firmware/linux_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "base/bits.h"
#include "firmware/bzimage.h"
#include "firmware/elf_image.h"
#include "firmware/initrd.h"
#include "firmware/initrd_check.h"
#include "firmware/linux_boot_params.h"
#include "firmware/low_memory.h"
#include "firmware/pvh_loader.h"
#include "firmware/unpack.h"

namespace mynah {
namespace {

constexpr uint64_t kLargestKernel = 512u << 20;  // unpacked; distributions' have some 60 MiB

// Where the kernel lies after loading, and what memory it needs at once.
struct PlacedKernel {
    EntryPoint entry;
    GuestPhys code;
    GuestPhys end;
};

// The payload as an ELF image entered at its own 64-bit entry: what the code in front of it would
// jump to, had it unpacked to the preferred address. Nothing: this kernel must unpack itself.
Result<std::optional<PlacedKernel>> place_unpacked(GuestMemory& memory, const BzImage& image,
                                                   const KernelBoot& boot) {
    const std::optional<PlacedKernel> itself;
    const auto packing = detect_packing(image.payload());
    if (!packing || !image.has_64bit_entry() || image.unpacked_size() == 0) return itself;
    if (image.unpacked_size() > memory.size()) {
        return Error(fmt::format(
            "{}: {} MiB large when unpacked; give the guest more with --memory (now {} MiB)",
            boot.kernel.origin, (image.unpacked_size() >> 20) + 1, memory.size() >> 20));
    }
    const uint64_t capacity = std::min<uint64_t>(image.unpacked_size(), kLargestKernel);
    std::optional<UnpackedBytes> unpacked;
    if (boot.unpack_cache != nullptr) unpacked = boot.unpack_cache->find(image.payload());
    const bool known = unpacked && unpacked->bytes().size() <= capacity;
    if (!known) {
        auto anew = unpack(*packing, image.payload(), capacity);
        if (!anew) {
            return Error(
                fmt::format("{}: damaged kernel: {}", boot.kernel.origin, anew.error().message()));
        }
        unpacked = std::move(anew.value());
    }
    if (!ElfImage::looks_like_elf(unpacked->bytes())) return itself;
    const ElfImage elf =
        TRY(ElfImage::parse(unpacked->bytes(), boot.kernel.origin + " (unpacked)"));
    const uint64_t address = elf.entry();
    if (!elf.is_64bit() || address < low_memory::kMegabyte || address > UINT32_MAX) return itself;
    const GuestPhys end = TRY(elf.load(memory));
    if (!known && boot.unpack_cache != nullptr)
        boot.unpack_cache->keep(image.payload(), std::move(*unpacked));
    return std::optional(PlacedKernel{
        {EntryPoint::Kind::kLinux64, GuestPhys(address), GuestPhys(low_memory::kBootParams)},
        GuestPhys(image.header().pref_address),
        end});
}

// The image as it is; it unpacks itself to where it prefers to be.
Result<PlacedKernel> place_packed(GuestMemory& memory, const BzImage& image,
                                  const KernelBoot& boot) {
    const auto& header = image.header();
    const auto code = image.protected_mode_code();
    const uint64_t needed = std::max<uint64_t>(header.init_size, code.size());
    const GuestPhys address(header.relocatable_kernel != 0 && header.pref_address != 0
                                ? header.pref_address
                                : low_memory::kMegabyte);
    if (address.value < low_memory::kMegabyte || address.value > UINT32_MAX ||
        memory.host(address, needed) == nullptr || !memory.write(address, code)) {
        return Error(fmt::format(
            "{}: needs {} MiB from address {:#x} on; give the guest more with --memory "
            "(now {} MiB)",
            boot.kernel.origin, (needed >> 20) + 1, address.value, memory.size() >> 20));
    }
    const bool is_long = image.has_64bit_entry();
    return PlacedKernel{{is_long ? EntryPoint::Kind::kLinux64 : EntryPoint::Kind::kLinux32,
                         is_long ? address + linux_boot::kEntry64Offset : address,
                         GuestPhys(low_memory::kBootParams)},
                        address,
                        address + needed};
}

Result<EntryPoint> load_bzimage(GuestMemory& memory, const BzImage& image, const KernelBoot& boot) {
    std::optional<PlacedKernel> placed;
    if (boot.unpack) placed = TRY(place_unpacked(memory, image, boot));
    if (!placed) placed = TRY(place_packed(memory, image, boot));

    const LoadedInitrd initrd = TRY(
        load_initrd(memory, boot.initrd, placed->end, GuestPhys(image.header().initrd_addr_max)));
    TRY(write_boot_params(memory, image, boot, initrd, placed->code));
    if (!write_entry_tables(memory, placed->entry.kind)) {
        return Error("--memory: too little for the kernel's entry tables");
    }
    return placed->entry;
}

}  // namespace

Result<EntryPoint> load_kernel(GuestMemory& memory, const KernelBoot& boot) {
    const auto file = boot.kernel.bytes;
    if (boot.initrd) TRY(check_initrd(*boot.initrd));
    if (ElfImage::looks_like_elf(file)) {
        const ElfImage image = TRY(ElfImage::parse(file, boot.kernel.origin));
        return load_pvh(memory, image, boot);
    }
    if (BzImage::looks_like_bzimage(file)) {
        const BzImage image = TRY(BzImage::parse(file, boot.kernel.origin));
        return load_bzimage(memory, image, boot);
    }
    return Error(
        fmt::format("{}: not a kernel: neither a Linux bzImage nor an ELF vmlinux with a PVH entry "
                    "({} bytes{})",
                    boot.kernel.origin, file.size(),
                    file.size() < linux_boot::kSector * 2 ? ", truncated?" : ""));
}

}  // namespace mynah
