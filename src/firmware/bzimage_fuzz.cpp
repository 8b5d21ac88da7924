// A kernel file of any content, loaded the way a machine does: as it is, and unpacked. And the same
// bytes as the setup header and payload of an image whose frame is sound, which reaches deeper.

#include <cstddef>
#include <cstdint>

#include "firmware/linux_loader.h"
#include "firmware/sample_kernel_test.h"

using namespace mynah;

namespace {

void load_all_ways(GuestMemory& memory, std::span<const E820Entry> map,
                   std::span<const std::byte> file, std::span<const std::byte> initrd) {
    KernelBoot boot;
    boot.kernel = {file, "--kernel fuzz"};
    boot.command_line = "console=ttyS0";
    boot.memory_map = map;
    for (const bool unpack : {false, true}) {
        boot.unpack = unpack;
        boot.initrd.reset();
        (void)load_kernel(memory, boot);
        boot.initrd = BootFile{initrd, "--initrd fuzz"};
        (void)load_kernel(memory, boot);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto memory = sample::memory(24);
    static const auto map = make_e820(memory->ranges());
    const auto bytes = std::as_bytes(std::span(data, size));
    load_all_ways(*memory, map, bytes, bytes);

    linux_boot::SetupHeader header = sample::default_header();
    if (size < sizeof header) return 0;
    std::memcpy(&header, data, sizeof header);
    header.setup_sects = 1;
    header.header = linux_boot::kHdrS;
    header.version = 0x020f;
    const sample::Image payload(bytes.begin() + sizeof header, bytes.end());
    load_all_ways(*memory, map, sample::bzimage(payload, header), payload);
    return 0;
}
