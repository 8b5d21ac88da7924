#pragma once

// How handlers reach their operands: the two kinds of effective address, read-modify-write and
// locked memory operands, and the choice of a handler by operand size.

#include <cstdint>
#include <optional>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"

namespace mynah::interpreter {

// Effective addresses of 64-bit mode with 64-bit addresses.
struct Ea64 {
    static bool linear(Core& core, const Op& op, unsigned, AccessKind, uint64_t& out) {
        out = core.operand_linear64(op);
        return true;
    }
};
// All others: segment limits, types, narrower addresses.
struct EaAny {
    static bool linear(Core& core, const Op& op, unsigned size, AccessKind kind, uint64_t& out) {
        return core.operand_linear(op, size, kind, out);
    }
};

template <class Ea, typename T>
bool load_operand(Core& core, const Op& op, T& value) {
    uint64_t linear;
    return Ea::linear(core, op, sizeof(T), AccessKind::kRead, linear) && core.load(linear, value);
}
template <class Ea, typename T>
bool store_operand(Core& core, const Op& op, T value) {
    uint64_t linear;
    return Ea::linear(core, op, sizeof(T), AccessKind::kWrite, linear) && core.store(linear, value);
}

// Replaces the memory operand x by change(x). The operand is known to be writable before
// `change` (which sets flags) runs.
template <class Ea, typename T, class Change>
Outcome modify_operand(Core& core, const Op& op, Change change) {
    uint64_t linear;
    if (!Ea::linear(core, op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
    bool faulted = false;
    if (void* host = core.host_for_modify(linear, sizeof(T), faulted)) [[likely]] {
        store_unaligned<T>(host, change(load_unaligned<T>(host)));
        return Outcome::kNext;
    }
    if (faulted || !core.probe_store(linear, sizeof(T))) return Outcome::kFault;
    T value;
    if (!core.load(linear, value)) return Outcome::kFault;
    return core.store(linear, change(value)) ? Outcome::kNext : Outcome::kFault;
}

// Memory on which a locked host instruction does what the guest's would: the guest's RAM itself;
// for an operand across two pages a second mapping of both side by side; for a device's registers
// a copy that is written back (under a lock: no two vCPUs in it at once).
class LockedOperandBase {
 public:
    LockedOperandBase(Core& core, uint64_t linear, unsigned size);
    ~LockedOperandBase();
    LockedOperandBase(const LockedOperandBase&) = delete;
    LockedOperandBase& operator=(const LockedOperandBase&) = delete;

    bool faulted() const { return data_ == nullptr; }

 protected:
    void* data_ = nullptr;

 private:
    void prepare_split();

    Core& core_;
    const uint64_t linear_;
    const unsigned size_;
    void* window_ = nullptr;  // two pages
    bool copied_ = false;     // split_lock is held
    alignas(16) std::byte copy_[16];
};

template <typename T>
class LockedOperand : public LockedOperandBase {
 public:
    LockedOperand(Core& core, uint64_t linear) : LockedOperandBase(core, linear, sizeof(T)) {}
    T* get() { return static_cast<T*>(data_); }
};

// Calls `choose` with a value of the unsigned type of `bits` (8 to 64); false for other widths.
template <class Choose>
bool by_size(unsigned bits, Choose choose) {
    switch (bits) {
        case 8: choose(uint8_t{}); return true;
        case 16: choose(uint16_t{}); return true;
        case 32: choose(uint32_t{}); return true;
        case 64: choose(uint64_t{}); return true;
        default: return false;
    }
}
// The same for instructions without an 8-bit form.
template <class Choose>
bool by_wide_size(unsigned bits, Choose choose) {
    switch (bits) {
        case 16: choose(uint16_t{}); return true;
        case 32: choose(uint32_t{}); return true;
        case 64: choose(uint64_t{}); return true;
        default: return false;
    }
}
// Calls `choose` with the kind of effective address that fits the operand.
template <class Choose>
void by_ea(const Build& b, Choose choose) {
    if (b.ea64()) {
        choose(Ea64{});
    } else {
        choose(EaAny{});
    }
}

}  // namespace mynah::interpreter
