#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace mynah {

// A set of interrupt vectors 0 to 255, as IRR, ISR and TMR hold it. Any thread: the local APIC's
// IRR is filled by whoever sends an interrupt while its own processor takes vectors out.
// Sequentially consistent, which the wake-up protocol of LocalApic::accept needs.
class VectorSet {
 public:
    void insert(uint8_t vector) { words_[vector >> 6].fetch_or(mask(vector)); }
    void remove(uint8_t vector) { words_[vector >> 6].fetch_and(~mask(vector)); }
    bool contains(uint8_t vector) const { return (words_[vector >> 6].load() & mask(vector)) != 0; }
    void clear() {
        for (auto& word : words_) word.store(0);
    }
    // The highest vector, or -1.
    int highest() const {
        for (int i = 3; i >= 0; --i) {
            const uint64_t word = words_[static_cast<unsigned>(i)].load();
            if (word != 0) return i * 64 + 63 - std::countl_zero(word);
        }
        return -1;
    }
    // Whether this vector is in it, and no other.
    bool only(uint8_t vector) const {
        for (unsigned i = 0; i < words_.size(); ++i) {
            if (words_[i].load() != (i == vector >> 6 ? mask(vector) : 0)) return false;
        }
        return true;
    }
    void set_word(unsigned index, uint32_t value) {
        auto& word = words_[index / 2];
        const unsigned shift = 32 * (index % 2);
        word.store((word.load() & ~(uint64_t{0xffffffff} << shift)) | uint64_t{value} << shift);
    }
    // 32 vectors from index * 32 on, as a register shows them; index 0 to 7.
    uint32_t word(unsigned index) const {
        return static_cast<uint32_t>(words_[index / 2].load() >> (32 * (index % 2)));
    }

 private:
    static constexpr uint64_t mask(uint8_t vector) { return uint64_t{1} << (vector & 63); }
    std::array<std::atomic<uint64_t>, 4> words_{};
};

}  // namespace mynah
