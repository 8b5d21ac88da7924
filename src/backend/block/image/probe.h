#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mynah {

// The format whose signature a file begins with: "qcow2", "vmdk", "vhdx", "vdi", "vhd"; null:
// none, so the file is raw. A signature proves nothing: a guest can write one to a raw disk. So
// nobody may take a file for an image on its word where a guest may have written to it as a raw
// disk: RawFile refuses such writes unless the operator said that the disk is raw.
const char* signature_format(std::span<const std::byte> start);
inline constexpr size_t kSignatureBytes = 512;

// The names by which people know formats: "vpc" is "vhd". Empty: unknown.
std::string_view canonical_format(std::string_view name);
inline constexpr const char* kFormatNames = "raw, qcow2, vhdx, vhd, vmdk or vdi";

}  // namespace mynah
