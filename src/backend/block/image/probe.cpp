#include "backend/block/image/probe.h"

#include <array>

namespace mynah {

const char* signature_format(std::span<const std::byte> start) {
    const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
    if (text.starts_with(std::string_view("QFI\xfb", 4))) return "qcow2";
    if (text.starts_with("KDMV") || text.starts_with("COWD") ||
        text.starts_with("# Disk DescriptorFile"))
        return "vmdk";
    if (text.starts_with("vhdxfile")) return "vhdx";
    if (text.starts_with("conectix")) return "vhd";
    // The text before it is free; the number behind it is not.
    if (text.size() >= 68 && text.substr(64, 4) == std::string_view("\x7f\x10\xda\xbe", 4))
        return "vdi";
    if (text.starts_with("<<< ")) return "vdi";
    return nullptr;
}

std::string_view canonical_format(std::string_view name) {
    static constexpr std::array<std::string_view, 6> kNames{"raw", "qcow2", "vhdx",
                                                            "vhd", "vmdk",  "vdi"};
    if (name == "vpc") return "vhd";
    for (const std::string_view known : kNames)
        if (name == known) return known;
    return {};
}

}  // namespace mynah
