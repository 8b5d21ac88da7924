#pragma once

#include <optional>
#include <span>
#include <vector>

#include "backend/block/qcow2/qcow2_header.h"

namespace mynah {

// One cluster packed, in less bytes than it has; nothing if it would not be less.
std::optional<std::vector<std::byte>> qcow2_pack(qcow2::Compression method,
                                                 std::span<const std::byte> cluster);
// Fills `cluster` exactly; false: the bytes are damaged. What follows the packed bytes in `packed`
// is ignored, as their length is only known in sectors.
bool qcow2_unpack(qcow2::Compression method, std::span<const std::byte> packed,
                  std::span<std::byte> cluster);

}  // namespace mynah
