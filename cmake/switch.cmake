# A switch that is misspelt would count as ON or OFF, as CMake reads it.
function(skive_check_switch name)
  string(TOUPPER "${SKIVE_${name}}" value)
  if(NOT value MATCHES "^(AUTO|ON|OFF|TRUE|FALSE|YES|NO|1|0)$")
    message(FATAL_ERROR " SKIVE_${name} is '${SKIVE_${name}}': it must be AUTO, ON or OFF")
  endif()
endfunction()
