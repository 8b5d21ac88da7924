#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memory/slice_list.h"

namespace mynah {

// One request of FUSE's protocol [FUSE] and its answer. What is in the request is copied out once;
// data of reads and writes stays where it is.
class FuseCall {
  public:
    // The request without its header; places for the answer, header included.
    FuseCall(const fuse_in_header& header, SliceList& request, const SliceList& places)
        : header_(header), request_(request), places_(places) {}

    const fuse_in_header& header() const { return header_; }

    // --- the request ---
    // Takes the next arguments; false: the request is too short.
    template <typename T>
    [[nodiscard]] bool take(T& arguments) {
        return request_.take_front(std::as_writable_bytes(std::span(&arguments, 1)));
    }
    // All that is left, as `count` strings that end with a zero each. Nothing: it is not that, or
    // longer than any names are.
    std::optional<std::vector<std::string>> take_strings(size_t count);
    // All that is left, as one string and the bytes behind it.
    struct Named {
        std::string name;
        std::string value;
    };
    std::optional<Named> take_named();
    const SliceList& data() const { return request_; }

    // --- the answer ---
    template <typename T>
    void put(const T& value) {
        put_bytes(std::as_bytes(std::span(&value, 1)));
    }
    void put_bytes(std::span<const std::byte> bytes) {
        body_.insert(body_.end(), bytes.begin(), bytes.end());
    }
    std::vector<std::byte>& body() { return body_; }
    // How many bytes fit behind the header of the answer.
    uint64_t room() const;
    // Places for up to `size` bytes behind the header, for data that is put there without a copy;
    // and how many were.
    std::vector<Slice> places(uint64_t size) const;
    void set_direct(uint64_t bytes) { direct_ = bytes; }

    // Writes header and body: `error` is a number of errno, or 0. Returns the answer's length.
    uint32_t finish(int error);

  private:
    static constexpr size_t kMaxStrings = 128 * 1024;  // XATTR_SIZE_MAX and some

    std::optional<std::string> take_rest();

    const fuse_in_header header_;
    SliceList& request_;
    const SliceList& places_;
    std::vector<std::byte> body_;
    uint64_t direct_ = 0;
};

}  // namespace mynah
