#pragma once

#include <cstdint>

#include "isa/instruction.h"
#include "silicon/block.h"

namespace mynah::silicon {

// Encodes the few instructions that blocks are held together with. None of these but compare()
// and decrement() touches a flag. Registers are numbered as in encodings.
class BlockCode {
 public:
    explicit BlockCode(CodeSize mode) : code64_(mode == CodeSize::k64) {}

    Step raw(std::initializer_list<unsigned> bytes) const;
    Step load(unsigned reg, uint64_t value) const;                // mov reg, value
    Step load_unit(unsigned reg, unsigned unit) const;            // mov reg, address of a unit
    Step load_index(unsigned reg, unsigned unit) const;           // mov reg, number of a unit
    Step load_from(unsigned reg, uint64_t linear) const;          // mov reg, [linear]
    Step store_to(uint64_t linear, unsigned reg) const;           // mov [linear], reg
    Step load_vector(unsigned reg, uint64_t linear) const;        // vmovdqu ymm, [linear]
    Step add_address(unsigned reg, int8_t distance) const;        // lea reg, [reg + distance]
    Step compare(unsigned reg, unsigned with) const;              // cmp reg, with
    Step decrement(unsigned reg) const;                           // dec reg
    Step push_constant(uint32_t value) const;
    Step branch(std::initializer_list<unsigned> opcode, unsigned unit) const;        // 32 bits
    Step short_branch(std::initializer_list<unsigned> opcode, unsigned unit) const;  // 8 bits
    Step through_register(bool call, unsigned reg) const;
    Step through_slot(bool call, unsigned unit) const;    // the slot of a unit in kUnitTable
    Step through_table(bool call, unsigned index) const;  // [kUnitTable + 8 * index]

 private:
    Step with_modrm(std::initializer_list<unsigned> opcode, unsigned reg, unsigned rm,
                    bool wide) const;
    Step with_address(std::initializer_list<unsigned> opcode, unsigned reg, uint64_t linear,
                      bool wide) const;

    bool code64_;
};

}  // namespace mynah::silicon
