#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/network/ethernet.h"
#include "backend/network/stream_framing.h"
#include "base/check.h"

// However a stream is cut, the same frames come out of it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mynah;
    if (size == 0) return 0;
    const size_t step = data[0] % 31 + size_t{1};
    const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
    std::vector<std::vector<std::byte>> whole, cut;
    const auto keep = [](auto& to) {
        return [&to](std::span<const std::byte> frame) {
            CHECK(frame.size() >= ethernet::kHeaderSize);
            CHECK(frame.size() <= ethernet::kMaxSuperFrame);
            to.emplace_back(frame.begin(), frame.end());
        };
    };
    StreamFraming first, second;
    const bool good = first.take(bytes, keep(whole));
    bool cut_good = true;
    for (auto rest = bytes; !rest.empty();) {
        const size_t part = std::min(step, rest.size());
        cut_good = second.take(rest.first(part), keep(cut));
        rest = rest.subspan(part);
    }
    CHECK(good == cut_good);
    CHECK(whole == cut);
    return 0;
}
