#pragma once

#include <map>
#include <vector>

#include "silicon/forms.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Picks forms for blocks: first what kind of instruction, then which, then how it is encoded, so
// that the many encodings of vector instructions do not crowd out the rest. Branches, and what
// would change how later addresses come about, are not among them.
class FormChoice {
 public:
    explicit FormChoice(const std::vector<Form>& forms);
    const Form& pick(CodeSize mode, Random& random) const;

 private:
    enum Kind { kInteger, kIntegerMemory, kString, kX87, kSse, kAvx, kSystem, kKinds };
    using Instructions = std::map<ZydisMnemonic, std::vector<const Form*>>;
    struct Choice {
        std::vector<std::vector<const Form*>> of[kKinds];  // by mnemonic
    };
    static int kind_of(const Form& form);

    Choice choices_[2];  // 64-bit, 32-bit
};

}  // namespace mynah::silicon
