#include "silicon/encode.h"

#include "silicon/maker.h"

#include <algorithm>

namespace mynah::silicon {
namespace {

class Encoder {
 public:
    Encoder(const Form& form, Random& random, Case& out)
        : form_(form), random_(random), out_(out) {}

    bool run() {
        legacy_prefixes();
        if (form_.vex) {
            vex();
        } else {
            rex();
            if (form_.map >= 1) byte(0x0f);
            if (form_.map == 2) byte(0x38);
            if (form_.map == 3) byte(0x3a);
        }
        byte(form_.opcode);
        if (form_.has_modrm) modrm();
        // Displacement and immediates: more than enough bytes, of which the decoder takes its
        // share.
        while (size_ < out_.code.size()) byte(static_cast<uint8_t>(random_.integer()));
        return decoded_as_wanted();
    }

 private:
    void byte(unsigned value) {
        if (size_ < out_.code.size()) out_.code[size_++] = static_cast<uint8_t>(value);
    }

    void legacy_prefixes() {
        static constexpr uint8_t kSegments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
        const bool code64 = form_.mode == CodeSize::k64;
        if (random_.one_in(6)) byte(kSegments[random_.below(code64 ? 6 : 4)]);
        // A 16-bit address cannot reach the test area: in 32-bit code only where nothing is
        // accessed.
        if (random_.one_in(8) && (code64 || !form_.has_modrm || !form_.memory)) byte(0x67);
        if (form_.memory && random_.one_in(5)) byte(0xf0);
        for (const uint8_t prefix : form_.prefixes) byte(prefix);
    }

    void rex() {
        if (form_.mode != CodeSize::k64) return;
        unsigned bits = form_.wide ? 8u : 0u;
        if (random_.one_in(2)) bits |= static_cast<unsigned>(random_.below(8));
        if (bits != 0 || random_.one_in(8)) byte(0x40 | bits);
    }

    void vex() {
        const bool code64 = form_.mode == CodeSize::k64;
        const unsigned extend = code64 ? static_cast<unsigned>(random_.below(8)) : 7u;
        const unsigned vvvv =
            form_.vvvv_open
                ? static_cast<unsigned>(random_.below(code64 ? 16 : 8)) | (code64 ? 0u : 8u)
                : 15u;
        const unsigned rest = vvvv << 3 | (form_.vex_long ? 4u : 0u) | form_.vex_prefix;
        if (form_.map == 1 && !form_.wide && (extend & 3) == 3 && random_.one_in(2)) {
            byte(0xc5);  // the short form has R only
            byte((extend & 4) << 5 | rest);
        } else {
            byte(0xc4);
            byte(extend << 5 | form_.map);
            byte((form_.wide ? 0x80u : 0u) | rest);
        }
    }

    void modrm() {
        const unsigned mod = form_.memory ? static_cast<unsigned>(random_.below(3)) : 3u;
        const unsigned reg =
            form_.reg_open ? static_cast<unsigned>(random_.below(8)) : form_.modrm >> 3 & 7u;
        const unsigned rm = form_.vector_index ? 4u
                            : form_.rm_open    ? static_cast<unsigned>(random_.below(8))
                                               : form_.modrm & 7u;
        byte(mod << 6 | reg << 3 | rm);
        if (form_.memory && rm == 4) byte(static_cast<unsigned>(random_.below(256)));
    }

    bool decoded_as_wanted() {
        const auto bytes = std::as_bytes(std::span(out_.code)).first(kMaxInstructionLength);
        if (decode(bytes, form_.mode, out_.instruction) != DecodeStatus::kOk) return false;
        const auto& info = out_.instruction.info;
        const bool memory = info.raw.modrm.mod != 3;
        return info.mnemonic == form_.mnemonic && info.opcode == form_.opcode &&
               (!form_.has_modrm || memory == form_.memory);
    }

    const Form& form_;
    Random& random_;
    Case& out_;
    size_t size_ = 0;
};

}  // namespace

bool encode(const Form& form, Random& random, Case& out) {
    out.mode = form.mode;
    return Encoder(form, random, out).run() && !(host_is_amd() && differs_on_amd(out.instruction));
}

}  // namespace mynah::silicon
