// Compressed data of any content in every format, and the same as an initrd. The first byte chooses
// the format, so that one corpus serves all.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "firmware/initrd_check.h"
#include "firmware/unpack.h"

using namespace mynah;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    constexpr size_t kCapacity = 1u << 20;
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto packing = static_cast<Packing>(data[0] % 5);
    // With the format's beginning in place, or the library would see little that it does not
    // refuse.
    static constexpr std::array<std::string_view, 5> kBeginnings{
        std::string_view("\x1f\x8b\x08", 3),
        std::string_view("\xfd"
                         "7zXZ\0",
                         6),
        std::string_view("\x5d\0\0", 3), std::string_view("\x28\xb5\x2f\xfd", 4),
        std::string_view("\x02\x21\x4c\x18", 4)};
    const auto beginning = std::as_bytes(std::span(kBeginnings[static_cast<size_t>(packing)]));
    std::vector<std::byte> packed(beginning.begin(), beginning.end());
    packed.insert(packed.end(), bytes.begin() + 1, bytes.end());
    (void)unpack(packing, packed, kCapacity);
    (void)unpack(packing, bytes.subspan(1), kCapacity);
    (void)check_initrd(BootFile{packed, "--initrd fuzz"});
    (void)check_initrd(BootFile{bytes.subspan(1), "--initrd fuzz"});
    return 0;
}
