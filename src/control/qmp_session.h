#pragma once

#include <string>
#include <string_view>

#include "control/controlled_machine.h"
#include "control/json_framer.h"

namespace mynah {

// One client's side of the QEMU Machine Protocol [QMP], of which it speaks a small part
// (README.md): bytes in, bytes out. What the client does wrong is answered by an error; nothing it
// sends makes it hold more than a bounded amount.
class QmpSession {
  public:
    // The greeting is in the output at once.
    explicit QmpSession(ControlledMachine& machine);

    // Bytes of the client. False: it cannot be followed any more; the connection is to end when the
    // output is sent.
    [[nodiscard]] bool receive(std::string_view bytes);
    // What is to be sent; the caller takes it.
    std::string take_output();

  private:
    void answer(const std::string& text);

    ControlledMachine& machine_;
    JsonFramer framer_;
    bool negotiated_ = false;  // qmp_capabilities was executed
    std::string output_;
};

}  // namespace mynah
