# Makes the component $1.
exec node build.js "$1"
