#pragma once

#include <compare>
#include <cstdint>

namespace mynah {

// An integer with a domain: a GuestPhys cannot be passed where an IoPort is wanted.
// Integers may be added and subtracted; the difference of two is a plain integer.
template <typename Tag, typename Integer>
struct Strong {
    Integer value = 0;

    constexpr Strong() = default;
    constexpr explicit Strong(Integer v) : value(v) {}

    friend constexpr auto operator<=>(Strong, Strong) = default;
    friend constexpr Strong operator+(Strong a, Integer b) { return Strong(a.value + b); }
    friend constexpr Strong operator-(Strong a, Integer b) { return Strong(a.value - b); }
    friend constexpr Integer operator-(Strong a, Strong b) { return a.value - b.value; }
};

}  // namespace mynah
