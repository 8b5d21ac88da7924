#include "firmware/firmware_kernel.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bits.h"
#include "firmware/bzimage.h"
#include "firmware/setup_header.h"

namespace mynah {
namespace {

using linux_boot::SetupHeader;

// Where firmware's own loader puts what it fetches [linux-boot "Memory Layout"]: real-mode code
// with its heap below the command line.
constexpr uint32_t kSetupAddress = 0x10000, kCommandLineAddress = 0x20000, kCodeAddress = 0x100000;
// Left at the end of low memory for tables that firmware puts there.
constexpr uint64_t kFirmwareTables = 0x100000;

}  // namespace

Result<FirmwareKernel> make_firmware_kernel(const BootFile& kernel,
                                            const std::optional<BootFile>& initrd,
                                            const std::string& command_line,
                                            uint64_t low_memory_end) {
    if (!BzImage::looks_like_bzimage(kernel.bytes))
        return Error(kernel.origin + ": firmware starts a Linux bzImage only");
    const BzImage image = TRY(BzImage::parse(kernel.bytes, kernel.origin));
    const size_t setup_size =
        static_cast<size_t>(image.protected_mode_code().data() - kernel.bytes.data());
    const auto setup = kernel.bytes.first(setup_size), code = kernel.bytes.subspan(setup_size);
    FirmwareKernel out;
    out.setup.assign(setup.begin(), setup.end());
    out.code.assign(code.begin(), code.end());  // whole, as a signature may stand at its end
    out.command_line = command_line;
    out.setup_address = kSetupAddress;
    out.code_address = kCodeAddress;
    out.command_line_address = kCommandLineAddress;

    std::byte* const place = out.setup.data() + linux_boot::kSetupHeaderOffset;
    auto header = load_unaligned<SetupHeader>(place);
    if (initrd) {
        const uint64_t limit = std::min<uint64_t>(uint64_t{header.initrd_addr_max} + 1,
                                                  low_memory_end - kFirmwareTables);
        const uint64_t size = initrd->bytes.size();
        if (limit < kCodeAddress + code.size() || size > limit - kCodeAddress - code.size())
            return Error(fmt::format("{}: {} MiB large; that does not fit into --memory",
                                     initrd->origin, size >> 20));
        out.initrd.assign(initrd->bytes.begin(), initrd->bytes.end());
        out.initrd_address = static_cast<uint32_t>(align_down(limit - size, kPageSize));
        header.ramdisk_image = out.initrd_address;
        header.ramdisk_size = static_cast<uint32_t>(size);
    }
    constexpr uint32_t kHeapBase = 0x200;  // what heap_end_ptr counts from
    header.type_of_loader = linux_boot::kLoaderUndefined;
    header.loadflags |= linux_boot::loadflags::kCanUseHeap;
    header.heap_end_ptr = static_cast<uint16_t>(kCommandLineAddress - kSetupAddress - kHeapBase);
    header.cmd_line_ptr = kCommandLineAddress;
    store_unaligned(place, header);
    return out;
}

}  // namespace mynah
