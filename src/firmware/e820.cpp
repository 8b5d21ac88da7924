#include "firmware/e820.h"

#include <algorithm>

#include "firmware/low_memory.h"

namespace mynah {
namespace {

// [start, end) as usable memory, if there is anything in it.
void add_usable(std::vector<E820Entry>& map, uint64_t start, uint64_t end) {
    if (start < end) map.push_back({start, end - start, E820Entry::kRam});
}

}  // namespace

std::vector<E820Entry> make_e820(std::span<const GuestMemory::Range> ram) {
    std::vector<E820Entry> map;
    for (const GuestMemory::Range& range : ram) {
        const uint64_t start = range.start.value, end = range.end().value;
        add_usable(map, start, std::min(end, low_memory::kEbda));
        add_usable(map, std::max(start, low_memory::kMegabyte), end);
    }
    map.push_back(
        {low_memory::kEbda, low_memory::kVideo - low_memory::kEbda, E820Entry::kReserved});
    map.push_back({low_memory::kBiosArea, low_memory::kMegabyte - low_memory::kBiosArea,
                   E820Entry::kReserved});
    std::sort(map.begin(), map.end(),
              [](const E820Entry& a, const E820Entry& b) { return a.start < b.start; });
    return map;
}

}  // namespace mynah
