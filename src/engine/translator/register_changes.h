#pragma once

#include <array>
#include <cstdint>

#include "engine/translator/emitter.h"

namespace mynah::translator {

struct GuestInstruction;

// Follows general registers through a block: by how much each has changed since some point, as far
// as that is known when the code is translated. Two addresses off the same registers are then a
// known distance apart if nothing unknown came between.
class RegisterChanges {
  public:
    static constexpr unsigned kCount = 16;

    // What `instruction` does.
    void follow(const GuestInstruction& instruction);

    // Between two calls with the same era, the register changed by the difference of moved().
    uint32_t era(unsigned guest) const { return now_[guest].era; }
    int64_t moved(unsigned guest) const { return now_[guest].moved; }

  private:
    struct Place {
        uint32_t era = 0;
        int64_t moved = 0;
    };
    // LEA or MOV: base + index * scale + disp, as it was last computed.
    struct Sum {
        uint8_t base = kNone, index = kNone, scale = 0;
        int64_t disp = 0;
        Place base_then, index_then, then;  // `then`: of the register itself, behind it
    };
    static constexpr uint8_t kNone = 0xff;

    static bool increment(const GuestInstruction& in, unsigned guest, int64_t& change);
    static bool sum_of(const GuestInstruction& in, unsigned guest, Sum& sum);
    bool computed_again(unsigned guest, const Sum& sum, int64_t& change) const;

    std::array<Place, kCount> now_{};
    std::array<Sum, kCount> sums_{};
};

}  // namespace mynah::translator
