#pragma once

// Stacks as far transfers, interrupts and returns use them: more than one value at a time, and
// often not the current stack.

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"

namespace mynah::interpreter {

class Core;

// A stack to push to: nothing of the processor's state changes until commit().
class StackWriter {
  public:
    // flat64: 64-bit stack pointer, no limits. mode: with whose privilege. error_code: of #SS.
    StackWriter(Core& core, const SegmentRegister& segment, uint64_t pointer, bool flat64,
                AccessMode mode, uint32_t error_code)
        : core_(core),
          segment_(segment),
          pointer_(pointer),
          flat64_(flat64),
          mode_(mode),
          error_code_(error_code) {}

    // Whether `count` values of `size` bytes fit; false: #SS.
    bool has_room(unsigned count, unsigned size);
    bool push(uint64_t value, unsigned size);
    // A whole frame, values[0] at the lowest address, in one access if it does not wrap.
    bool push_frame64(const uint64_t* values, unsigned count);
    uint64_t pointer() const { return pointer_; }

  private:
    uint64_t wrap(uint64_t pointer) const;
    bool within(uint64_t offset, unsigned size) const;

    Core& core_;
    SegmentRegister segment_;
    uint64_t pointer_;
    bool flat64_;
    AccessMode mode_;
    uint32_t error_code_;
};

// Pops from the current stack, with current privileges, without changing the stack pointer.
class StackReader {
  public:
    explicit StackReader(Core& core);
    bool pop(uint64_t& value, unsigned size);
    // A selector in a slot of `size` bytes, of which only the two are read.
    bool pop_selector(uint16_t& selector, unsigned size);
    void skip(uint64_t bytes);
    uint64_t pointer() const { return pointer_; }

  private:
    Core& core_;
    uint64_t pointer_;
};

// Writes SP, ESP or RSP as the stack segment's size says.
void set_stack_pointer_for(CpuState& state, const SegmentRegister& segment, bool flat64,
                           uint64_t value);

// A stack for a more privileged level, from the TSS.
struct InnerStack {
    SegmentRegister segment;
    uint64_t pointer;
};
// Legacy modes: SSn and ESPn with all checks. ext: 1 in error codes if an event is being delivered.
bool inner_stack(Core& core, unsigned level, uint32_t ext, InnerStack& out);
// Long mode: RSPn, or the interrupt stack if ist is not 0; SS becomes null.
bool inner_stack64(Core& core, unsigned level, unsigned ist, uint32_t ext, InnerStack& out);

inline AccessMode access_mode_of(unsigned level) {
    return level == 3 ? AccessMode::kUser : AccessMode::kSupervisor;
}

}  // namespace mynah::interpreter
