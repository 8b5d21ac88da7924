#include "machine/kernel_files.h"

#include "firmware/e820.h"
#include "firmware/linux_loader.h"

namespace mynah {
namespace {

constexpr uint64_t kLargestKernelFile = 1u << 30, kLargestInitrd = uint64_t{2} << 30;

}  // namespace

Result<KernelFiles> KernelFiles::open(const MachineConfig& config) {
    if (config.kernel.empty()) {
        return Error("--kernel: missing; expected a Linux bzImage or vmlinux to boot");
    }
    InputFile kernel =
        TRY(InputFile::open(config.kernel, "--kernel " + config.kernel, kLargestKernelFile));
    std::optional<InputFile> initrd;
    if (config.initrd) {
        initrd = TRY(InputFile::open(*config.initrd, "--initrd " + *config.initrd, kLargestInitrd));
    }
    std::unique_ptr<KernelCache> cache;
    if (config.kernel_cache) cache = std::make_unique<KernelCache>(*config.kernel_cache);
    return KernelFiles(std::move(kernel), std::move(initrd), std::move(cache));
}

Result<EntryPoint> KernelFiles::load(GuestMemory& memory, const MachineConfig& config,
                                     GuestPhys rsdp) const {
    const FileContent kernel = TRY(kernel_.read());
    FileContent initrd;
    if (initrd_) initrd = TRY(initrd_->read());
    const std::vector<E820Entry> map = make_e820(memory.ranges());

    KernelBoot boot;
    boot.kernel = {kernel.bytes(), kernel_.origin()};
    if (initrd_) boot.initrd = BootFile{initrd.bytes(), initrd_->origin()};
    boot.command_line = config.command_line;
    boot.memory_map = map;
    boot.rsdp = rsdp;
    boot.unpack = config.unpack_kernel;
    boot.unpack_cache = cache_.get();
    return load_kernel(memory, boot);
}

Result<FirmwareKernel> KernelFiles::for_firmware(const MachineConfig& config,
                                                 uint64_t low_memory_end) const {
    const FileContent kernel = TRY(kernel_.read());
    FileContent content;
    std::optional<BootFile> initrd;
    if (initrd_) {
        content = TRY(initrd_->read());
        initrd = BootFile{content.bytes(), initrd_->origin()};
    }
    return make_firmware_kernel({kernel.bytes(), kernel_.origin()}, initrd, config.command_line,
                                low_memory_end);
}

}  // namespace mynah
