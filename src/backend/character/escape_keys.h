#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace mynah {

// The keys a terminal keeps for the operator: Ctrl-A and one more. Everything else passes.
// Single-threaded.
class EscapeKeys {
  public:
    static constexpr std::byte kPrefix{0x01};  // Ctrl-A

    // What the keys do; on the terminal's thread.
    struct Actions {
        std::function<void()> quit;                      // X
        std::function<void()> help;                      // H or ?
        std::function<std::vector<std::byte>()> resize;  // W: what to type into the guest
    };
    explicit EscapeKeys(Actions actions) : actions_(std::move(actions)) {}

    // Appends to `to` what goes to the guest.
    void filter(std::span<const std::byte> typed, std::vector<std::byte>& to);

    static std::string_view help_text();

  private:
    void key(std::byte key, std::vector<std::byte>& to);

    Actions actions_;
    bool prefixed_ = false;
};

}  // namespace mynah
