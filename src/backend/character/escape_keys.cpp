#include "backend/character/escape_keys.h"

namespace mynah {

void EscapeKeys::filter(std::span<const std::byte> typed, std::vector<std::byte>& to) {
    for (const std::byte byte : typed) {
        if (prefixed_) {
            prefixed_ = false;
            key(byte, to);
        } else if (byte == kPrefix) {
            prefixed_ = true;
        } else {
            to.push_back(byte);
        }
    }
}

void EscapeKeys::key(std::byte key, std::vector<std::byte>& to) {
    // Control held down for the second key as well means the same: Ctrl-A Ctrl-X.
    const auto code = std::to_integer<unsigned char>(key);
    switch (code) {
        case 'x':
        case 'X':
        case 'x' & 0x1f:
            if (actions_.quit) actions_.quit();
            return;
        case 'h':
        case 'H':
        case '?':
        case 'h' & 0x1f:
            if (actions_.help) actions_.help();
            return;
        case 'w':
        case 'W':
        case 'w' & 0x1f:
            if (actions_.resize) {
                const auto text = actions_.resize();
                to.insert(to.end(), text.begin(), text.end());
            }
            return;
        case 'a':
        case 'A':
        case 0x01:
            to.push_back(kPrefix);
            return;
        default:  // no key of ours: the guest gets both
            to.push_back(kPrefix);
            to.push_back(key);
    }
}

std::string_view EscapeKeys::help_text() {
    return "\r\n"
           "Ctrl-A X       quit: the machine is switched off at once\r\n"
           "Ctrl-A H       this help\r\n"
           "Ctrl-A W       tell the guest the window's size (types a stty command; use it at a "
           "shell)\r\n"
           "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";
}

}  // namespace mynah
