#include "firmware/initrd.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bits.h"

namespace mynah {

Result<LoadedInitrd> load_initrd(GuestMemory& memory, const std::optional<BootFile>& initrd,
                                 GuestPhys kernel_end, GuestPhys last_byte) {
    if (!initrd) return LoadedInitrd{};
    const uint64_t size = initrd->bytes.size();
    if (size == 0) return Error(initrd->origin + ": the file is empty; expected a cpio archive");

    for (const GuestMemory::Range& range : memory.ranges()) {
        if (kernel_end < range.start || kernel_end > range.end()) continue;
        const uint64_t bottom = align_up(kernel_end.value, kPageSize);
        const uint64_t top = std::min(range.end().value, last_byte.value + 1);
        if (top < bottom || size > top - bottom) break;
        const GuestPhys address(align_down(top - size, kPageSize));
        if (address.value < bottom || !memory.write(address, initrd->bytes)) break;
        return LoadedInitrd{address, size};
    }
    return Error(fmt::format(
        "{}: its {} KiB do not fit into guest memory above the kernel; give the guest more "
        "with --memory (now {} MiB)",
        initrd->origin, (size + 1023) >> 10, memory.size() >> 20));
}

}  // namespace mynah
