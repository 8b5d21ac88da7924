#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "isa/instruction.h"

namespace mynah {

// Decodes like decode(), but remembers *shapes* of 64-bit instructions: everything up to the ModRM
// and SIB bytes. What comes behind, displacement and immediates, does not change what an
// instruction is, so that an instruction whose shape is known needs no more than its numbers filled
// in, at about a tenth of the cost. Used by one thread.
class DecodeCache {
  public:
    DecodeCache();
    ~DecodeCache();

    // The instruction is valid until the next call. Operands behind the last are zero.
    DecodeStatus decode(std::span<const std::byte> bytes, CodeSize size, const Instruction*& out);

    uint64_t misses() const { return misses_; }

  private:
    struct Entry;
    struct Shape {
        uint64_t key = 0;        // its bytes, and their number in the highest byte; 0: unknown
        unsigned length = 0;     // bytes up to the displacement
        unsigned disp_size = 0;  // bytes
    };
    static Shape shape_of(std::span<const std::byte> bytes);
    static bool learn(Entry& entry, const Shape& shape);

    static constexpr unsigned kEntryBits = 11;
    std::unique_ptr<Entry[]> entries_;
    Instruction single_;  // what has no entry
    uint64_t misses_ = 0;
};

// Copies no more than what there is of operands; those behind have no type.
void copy_instruction(Instruction& to, const Instruction& from);

}  // namespace mynah
