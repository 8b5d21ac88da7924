#pragma once

#include <cstdint>

#include "memory/dma_view.h"

namespace mynah {

// Appends the memory of a command's data, `size` bytes, as its PRP entries describe it
// [NVMe 4.3]. Returns an NVMe status. The list has as many entries as the size needs.
uint16_t gather_prps(const DmaView& memory, uint64_t prp1, uint64_t prp2, uint64_t size,
                     SliceList& to, DmaUse use);

}  // namespace mynah
