#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "spec/pci/config_registers.h"

namespace mynah {

// The bytes of a function's configuration space, with what the guest may do to each: read, write,
// or clear by writing ones. Knows nothing of what they mean. Single-threaded.
class PciConfigSpace {
  public:
    PciConfigSpace();

    // --- layout: what is there after power-on ---
    void define(unsigned offset, unsigned size, uint32_t value, uint32_t writable);
    void define_clearable(unsigned offset, unsigned size, uint32_t clearable);
    // Offset of `size` free bytes behind the header, aligned to 4; CHECKs that there are some.
    unsigned allocate(unsigned size);
    void reset();

    // --- the guest's accesses, within the 4096 bytes, size 1 to 4 ---
    uint32_t read(unsigned offset, unsigned size) const;
    void write(unsigned offset, unsigned size, uint32_t value);

    // --- the device's: whatever the masks say ---
    void store(unsigned offset, unsigned size, uint32_t value);
    // Another mask until reset().
    void restrict(unsigned offset, unsigned size, uint32_t writable);
    uint16_t word(unsigned offset) const { return static_cast<uint16_t>(read(offset, 2)); }
    uint32_t dword(unsigned offset) const { return read(offset, 4); }

  private:
    std::vector<uint8_t> value_, initial_, writable_, initial_writable_, clearable_;
    std::bitset<pci::kConventionalBytes> used_;
};

}  // namespace mynah
